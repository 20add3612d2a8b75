//! A connection to a server of which it is known who it is: [`Line`].

use crate::link::{
    Commands, Handshake, MAX_SHORT_ANSWER, Refusal, Server, accepted, check_master, malformed, word,
};
use crate::script::Call;
use crate::wire::{Wire, after};
use resp_rs::resp2::Frame;
use sansse::Timer;
use sansse::cluster::LogError;
use sansse::net::{Connector, Socket, Target};
use std::time::Duration;

/// A connection that is logged in.
pub(crate) struct Line<S> {
    wire: Wire<S>,
    server: Server,
    /// Whether the keys are only on their way to this server of a cluster.
    asking: bool,
    answer_time: Duration,
}

/// How a line is opened.
#[derive(Clone, Copy)]
pub(crate) struct Opening<'a> {
    pub(crate) handshake: Handshake<'a>,
    pub(crate) asking: bool,
    pub(crate) connect_time: Duration,
    pub(crate) answer_time: Duration,
}

impl<S: Socket> Line<S> {
    pub(crate) async fn open<C: Connector<Socket = S>>(
        connector: &C,
        timer: &dyn Timer,
        target: &Target,
        opening: Opening<'_>,
    ) -> Result<Self, LogError> {
        let deadline = after(timer, opening.connect_time);
        let mut wire = Wire::open(connector, timer, target, deadline).await?;
        let handshake = opening.handshake;
        let replies = wire.ask(timer, handshake.commands(), MAX_SHORT_ANSWER, deadline).await?;
        let server = handshake.server(replies)?;
        Ok(Self { wire, server, asking: opening.asking, answer_time: opening.answer_time })
    }

    /// Returns which life of a server it leads to.
    pub(crate) fn run_id(&self) -> &str {
        &self.server.run_id
    }

    /// Calls the script.
    pub(crate) async fn call(
        &mut self,
        timer: &dyn Timer,
        call: &Call<'_>,
    ) -> Result<Frame, Refusal> {
        let run_id = self.server.run_id.clone();
        if let Some(name) = self.server.script.clone() {
            match self.call_once(timer, call.by_name(name, run_id.clone())).await {
                Err(Refusal::NoScript) => {}
                answer => return answer,
            }
        }
        self.call_once(timer, call.by_text(run_id)).await
    }

    async fn call_once(
        &mut self,
        timer: &dyn Timer,
        words: Vec<bytes::Bytes>,
    ) -> Result<Frame, Refusal> {
        let commands = self.begin().with(words);
        let replies = self.ask(timer, commands, MAX_SHORT_ANSWER, Duration::ZERO).await;
        let reply = replies.map_err(Refusal::Error)?.pop();
        accepted(reply.ok_or_else(|| Refusal::Error(malformed("it answers too little")))?)
    }

    /// Sees to it that the server is still a master.
    pub(crate) async fn check_master(&mut self, timer: &dyn Timer) -> Result<(), LogError> {
        // Servers of a cluster say by themselves where the keys are.
        if self.server.is_cluster {
            return Ok(());
        }
        let commands = Commands::default().with([word("INFO"), word("replication")]);
        let replies = self.ask(timer, commands, MAX_SHORT_ANSWER, Duration::ZERO).await?;
        check_master(replies.into_iter().next().ok_or_else(|| malformed("it answers too little"))?)
    }

    /// Sends a command, and `TIME` behind it, and returns both replies.
    pub(crate) async fn read(
        &mut self,
        timer: &dyn Timer,
        words: Vec<bytes::Bytes>,
        max_answer: usize,
        wait: Duration,
    ) -> Result<(Frame, Frame), LogError> {
        let commands = self.begin().with(words).with([word("TIME")]);
        let mut replies = self.ask(timer, commands, max_answer, wait).await?;
        match (replies.pop(), replies.pop()) {
            (Some(time), Some(read)) => Ok((read, time)),
            _ => Err(malformed("it answers too little")),
        }
    }

    fn begin(&self) -> Commands {
        let commands = Commands::default();
        if self.asking { commands.with([word("ASKING")]) } else { commands }
    }

    async fn ask(
        &mut self,
        timer: &dyn Timer,
        commands: Commands,
        max_answer: usize,
        wait: Duration,
    ) -> Result<Vec<Frame>, LogError> {
        let deadline = after(timer, wait.saturating_add(self.answer_time));
        self.wire.ask(timer, commands, max_answer, deadline).await
    }
}
