//! The way of requests to the engine and of its answers back.

use super::*;

impl World {
    pub(super) fn drive(&mut self, node: usize) {
        let (now, mutant) = (self.now, self.scenario.mutant);
        let requests = self.nodes[node].settle(now, mutant, &mut self.judge);
        for (id, request) in requests {
            self.ask(node, id, request);
        }
    }

    pub(super) fn ask(&mut self, node: usize, id: RequestId, request: LogRequest) {
        let server = self.routes[node];
        let process = &mut self.nodes[node];
        if let LogRequest::Hello(_) = request {
            process.connection = Some((server, self.engine.run(server)));
        }
        let Some(connection) = process.connection else {
            // A driver whose connection is gone says so.
            let life = process.life;
            let error = Err(LogErrorKind::Unreachable);
            return self.after(Duration::ZERO, Happening::Answered(node, life, id, error));
        };
        let life = process.life;
        if let (Some(Mutant::AcknowledgesFirst), LogRequest::Append(append)) =
            (self.scenario.mutant, &request)
        {
            let last = self.engine.position(connection.0) + u64::from(append.count);
            let appended = sansse::cluster::Appended { last, count: append.count };
            let answer = Ok(LogAnswer::Appended(appended));
            self.after(Duration::ZERO, Happening::Answered(node, life, id, answer));
        }
        self.note(|| format!("node {node} asks {connection:?} {request:?}"));
        if self.is_lost() {
            self.judge.count("request lost");
            return;
        }
        let wait = self.latency();
        self.after(wait, Happening::Arrives(node, life, id, connection, request));
    }

    pub(super) fn arrives(
        &mut self,
        node: usize,
        life: u64,
        id: RequestId,
        connection: Connection,
        request: LogRequest,
    ) {
        let (server, run) = connection;
        if !self.engine.is_reached(server, run) {
            return self.reply(node, life, id, Err(LogErrorKind::Unreachable));
        }
        let now = self.since();
        let answer = match request {
            LogRequest::Hello(hello) => {
                self.engine.hello(server, now, &hello).map(LogAnswer::Hello)
            }
            LogRequest::Append(append) => {
                self.engine.append(server, now, &append).map(LogAnswer::Appended)
            }
            LogRequest::Head => self.engine.head(server).map(LogAnswer::Head),
            LogRequest::Read(mut read) => {
                if let Some(error) = self.engine.refuses_reads(server) {
                    return self.reply(node, life, id, Err(error));
                }
                if self.scenario.mutant == Some(Mutant::ReadsFromTheEnd) {
                    read.after = read.after.max(self.engine.position(server));
                }
                self.queued += 1;
                let number = self.queued;
                self.after(read.wait, Happening::ReadEnds(number));
                self.reads.push(WaitingRead { number, node, life, id, connection, read });
                return;
            }
            other => panic!("{other:?}"),
        };
        if let Err(error) = answer {
            self.judge.count(if error.is_refusal() { "refused by the engine" } else { "error" });
        }
        self.reply(node, life, id, answer);
    }

    pub(super) fn reply(&mut self, node: usize, life: u64, id: RequestId, answer: Answered) {
        if self.is_lost() {
            self.judge.count("answer lost");
            return;
        }
        let wait = self.latency();
        self.after(wait, Happening::Answered(node, life, id, answer));
    }

    /// Answers the reads for which there is something now.
    pub(super) fn answer_reads(&mut self) {
        let now = self.since();
        let mut at = 0;
        while let Some(waiting) = self.reads.get(at) {
            let (server, run) = waiting.connection;
            let answer = if self.engine.is_reached(server, run) {
                let page = self.engine.read(server, now, &waiting.read);
                if page.entries.is_empty() {
                    at += 1;
                    continue;
                }
                Ok(LogAnswer::Page(page))
            } else {
                Err(LogErrorKind::Unreachable)
            };
            let WaitingRead { node, life, id, .. } = self.reads.remove(at);
            self.reply(node, life, id, answer);
        }
    }

    pub(super) fn answered(&mut self, node: usize, life: u64, id: RequestId, answer: Answered) {
        let now = self.now;
        if self.nodes[node].life != life || !self.nodes[node].is_alive {
            return;
        }
        if let Some(until) = self.nodes[node].stalled_until {
            return self.after(until - now, Happening::Answered(node, life, id, answer));
        }
        self.note(|| format!("node {node} gets {id:?}: {answer:?}"));
        self.nodes[node].answer(now, id, answer);
    }
}
