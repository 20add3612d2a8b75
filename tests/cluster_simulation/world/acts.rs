//! What happens by itself: publishes, faults, and the end of all faults.

use super::*;

impl World {
    pub(super) fn act(&mut self, act: Act) {
        self.note(|| format!("{act:?}"));
        self.judge.count(act.as_str());
        let node = self.random.below(self.nodes.len());
        let route = self.routes[self.random.below(self.routes.len())];
        match act {
            Act::Publish => {
                let audience = if chance(&mut self.random, self.scenario.for_clients) {
                    Audience::Client(self.drawn_client())
                } else if chance(&mut self.random, 30) {
                    Audience::Topic(news())
                } else {
                    Audience::Everyone
                };
                self.publish_at(node, audience);
            }
            Act::Revoke => {
                let client = self.drawn_client();
                let text = format!("revoke {client}");
                self.publish_record(node, Record::Revoke(client), &text);
            }
            Act::RevokeTopic => {
                let client = self.drawn_client();
                let text = format!("revoke {client} {}", news());
                self.publish_record(node, Record::RevokeTopic(client, news()), &text);
            }
            Act::Move => {
                let reader = self.random.below(self.readers.len());
                self.leave(reader);
                let after = one_of(&mut self.random, &[millis(0), millis(0), millis(4_000)]);
                self.after(after, Happening::ReaderComes(reader));
            }
            Act::NodeCrashes => self.end_node(node),
            Act::NodeStalls(time) => self.nodes[node].stall(self.now, time),
            Act::NodeShutsDown => {
                if self.nodes[node].runs() {
                    self.nodes[node].node.shut_down(self.now);
                    self.nodes[node].is_leaving = true;
                }
            }
            Act::EngineRestarts { steps_ago, after } => {
                self.engine.stop(route);
                self.after(after, Happening::ServerStarts(route, steps_ago));
            }
            Act::Promotion { steps_ago, clock } => {
                let master = self.engine.promote(route, steps_ago, clock);
                self.engine.set_demoted(route, chance(&mut self.random, 70));
                self.is_spoilt |= clock != 0;
                self.routes.fill(master);
            }
            Act::StaleMaster { splits } => {
                let server = self.random.below(self.engine.servers());
                self.engine.set_demoted(server, false);
                for node in 0..self.routes.len() {
                    if !splits || chance(&mut self.random, 50) {
                        self.routes[node] = server;
                        self.nodes[node].connection = None;
                    }
                }
            }
            Act::ConnectionBreaks => self.nodes[node].connection = None,
            Act::Flush => self.engine.flush(route),
            Act::LosesHash => self.engine.lose_hash(route),
            Act::LosesStream => self.engine.lose_stream(route),
            Act::Trim { keep } => self.engine.trim(route, keep),
            Act::Refuses(error, time) => {
                self.engine.set_refusal(route, Some(error));
                self.after(time, Happening::Serves(route));
            }
            Act::Nonsense => self.nonsense(node),
        }
    }

    pub(super) fn drawn_client(&mut self) -> ClientId {
        ClientId::new(one_of(&mut self.random, &CLIENTS)).unwrap()
    }

    /// A node gets what no engine says, in the place of an answer.
    pub(super) fn nonsense(&mut self, node: usize) {
        let process = &self.nodes[node];
        let Some(id) = process.under_way.iter().next().copied() else { return };
        let (life, far) = (process.life, u64::MAX >> self.random.below(12));
        let head = sansse::cluster::Head { start: 0, position: far };
        let content = sansse::cluster::Content::Cut;
        let entry = |after, position| {
            let content = content.clone();
            Page { entries: vec![Entry { after, position, age: Duration::ZERO, content }] }
        };
        let answer = match self.random.below(5) {
            0 => Err(LogErrorKind::Malformed),
            1 => Ok(LogAnswer::Hello(head)),
            2 => Ok(LogAnswer::Head(head)),
            3 => Ok(LogAnswer::Page(entry(3, 2))),
            _ => Ok(LogAnswer::Page(entry(0, far.max(1 << 53)))),
        };
        self.after(Duration::ZERO, Happening::Answered(node, life, id, answer));
    }

    pub(super) fn publish_at(&mut self, node: usize, audience: Audience) {
        self.texts += 1;
        let text = format!("t{}", self.texts);
        let record = LogRecord::new(audience, Event::new(text.clone()));
        self.publish_record(node, record.into(), &text);
    }

    pub(super) fn publish_record(&mut self, node: usize, record: Record, text: &str) {
        if !self.nodes[node].runs() {
            return;
        }
        match self.nodes[node].publish(self.now, record, text) {
            Ok(()) => {}
            Err(PublishError::EngineDown) => self.judge.refuse(text, "refused at once"),
            Err(PublishError::Busy) => self.judge.refuse(text, "busy"),
            Err(PublishError::Closed) => self.judge.refuse(text, "closed"),
            Err(error) => panic!("{error:?}"),
        }
    }

    pub(super) fn end_node(&mut self, node: usize) {
        self.nodes[node].is_alive = false;
        for reader in 0..self.readers.len() {
            if self.readers[reader].session.is_some_and(|(at, ..)| at == node) {
                self.readers[reader].session = None;
                let after = up_to(&mut self.random, millis(1_000));
                self.after(after, Happening::ReaderComes(reader));
            }
        }
        let after = up_to(&mut self.random, millis(3_000));
        self.after(after, Happening::NodeStarts(node));
    }

    pub(super) fn start_node(&mut self, node: usize) {
        if !self.nodes[node].is_alive {
            self.nodes[node] = self.process();
        }
    }

    /// From here on nothing breaks any more.
    pub(super) fn heal(&mut self) {
        self.note(|| "healed".to_owned());
        self.is_healed = true;
        let master = self.routes[self.random.below(self.routes.len())];
        for server in 0..self.engine.servers() {
            self.engine.set_refusal(server, None);
            self.engine.set_demoted(server, server != master);
            if !self.engine.is_up(server) {
                self.engine.start(server, 0);
            }
        }
        self.routes.fill(master);
        for node in 0..self.nodes.len() {
            let process = &mut self.nodes[node];
            if process.stalled_until.is_some() {
                process.stalled_until = Some(self.now);
            }
            if process.is_leaving {
                self.end_node(node);
            }
        }
    }
}
