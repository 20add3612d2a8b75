//! The transition table: what each input does in each phase of a client's life.

/// Where a client stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The caller is asked for the headers of the next request.
    Headers,
    /// A request waits to be taken.
    Ready,
    /// A request was taken, and nothing was answered yet.
    Connecting,
    /// A stream is being read.
    Streaming,
    /// The answer is no stream; the beginning of its body is read, to be reported.
    Refused,
    /// The attempt is over. What was read of it is still to be polled; then it is decided how to go
    /// on.
    Ending,
    /// The reconnection time is running.
    Waiting,
    /// It is over, for good.
    Closed,
}

/// What can happen, judged and without its particulars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// The caller gave headers, or none are wanted.
    HeadersGiven,
    /// The driver took the request.
    Taken,
    /// A head came: it is a stream's.
    Accepted,
    /// A head came: it leads to another URL.
    Redirected,
    /// A head came: it is no stream's, and has a body that is worth a look.
    Rejected,
    /// Bytes of a body came.
    Data,
    /// The attempt cannot go on: the body ended, the connection failed, the head settles it, or a
    /// limit was reached.
    Lost,
    /// The deadline of the phase has come.
    Deadline,
    /// The deadline of the client's whole life has come.
    LifeOver,
    /// The message came that ends the stream for good.
    Sentinel,
    /// All was polled, and the client tries again.
    Retry,
    /// All was polled, and the client gives up.
    GiveUp,
    /// The caller wants a new connection at once.
    Restart,
    /// The caller says that waiting has lost its reason.
    Wake,
    /// The caller wants no more.
    Close,
}

/// What is to be done at a transition, with the particulars that the input has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Name the next attempt, and ask for its headers if that is configured.
    Ask,
    /// Take the headers into the request.
    Prepare,
    /// Hand out the request, and begin to wait for its answer.
    Send,
    /// Report the stream, and begin to listen for silence.
    Open,
    /// Make the request for the new URL.
    Follow,
    /// Begin to collect the body.
    Keep,
    /// Add to the body that is collected.
    Collect,
    /// Hand the bytes to the decoder.
    Decode,
    /// Note why the attempt is over.
    End,
    /// Begin the reconnection time.
    Wait,
    /// End the reconnection time early, or make it short when it begins.
    Hasten,
    /// Expect a sign of life soon.
    Probe,
    /// Report the end, or nothing if the caller wanted it.
    Close,
}

/// What an input does in a phase, and the phase after it; `None` if it means nothing there, as
/// every input does that comes late.
#[rustfmt::skip]
#[expect(clippy::match_same_arms, reason = "a row for each phase and input reads best")]
pub(super) const fn transition(phase: Phase, input: Input) -> Option<(Action, Phase)> {
    use Action as A;
    use Input as I;
    use Phase as P;
    Some(match (phase, input) {
        //  phase        input              action       next phase
        (P::Closed,     _)               => return None,
        (_,             I::Close)        => (A::Close,   P::Closed),

        (P::Headers,    I::HeadersGiven) => (A::Prepare, P::Ready),
        (P::Headers,    I::Lost)         => (A::End,     P::Ending),
        (P::Headers,    I::Deadline)     => (A::End,     P::Ending),
        (P::Headers,    I::LifeOver)     => (A::End,     P::Ending),

        (P::Ready,      I::Taken)        => (A::Send,    P::Connecting),
        (P::Ready,      I::LifeOver)     => (A::End,     P::Ending),

        (P::Connecting, I::Accepted)     => (A::Open,    P::Streaming),
        (P::Connecting, I::Redirected)   => (A::Follow,  P::Ready),
        (P::Connecting, I::Rejected)     => (A::Keep,    P::Refused),
        (P::Connecting, I::Lost)         => (A::End,     P::Ending),
        (P::Connecting, I::Deadline)     => (A::End,     P::Ending),
        (P::Connecting, I::LifeOver)     => (A::End,     P::Ending),
        (P::Connecting, I::Restart)      => (A::End,     P::Ending),
        (P::Connecting, I::Wake)         => (A::Probe,   P::Connecting),

        (P::Streaming,  I::Data)         => (A::Decode,  P::Streaming),
        (P::Streaming,  I::Lost)         => (A::End,     P::Ending),
        (P::Streaming,  I::Deadline)     => (A::End,     P::Ending),
        (P::Streaming,  I::LifeOver)     => (A::End,     P::Ending),
        (P::Streaming,  I::Sentinel)     => (A::End,     P::Ending),
        (P::Streaming,  I::Restart)      => (A::End,     P::Ending),
        (P::Streaming,  I::Wake)         => (A::Probe,   P::Streaming),

        (P::Refused,    I::Data)         => (A::Collect, P::Refused),
        (P::Refused,    I::Lost)         => (A::End,     P::Ending),
        (P::Refused,    I::Deadline)     => (A::End,     P::Ending),
        (P::Refused,    I::LifeOver)     => (A::End,     P::Ending),
        (P::Refused,    I::Restart)      => (A::End,     P::Ending),

        // What is polled now was read before the connection was lost.
        (P::Ending,     I::Sentinel)     => (A::End,     P::Ending),
        (P::Ending,     I::Retry)        => (A::Wait,    P::Waiting),
        (P::Ending,     I::GiveUp)       => (A::Close,   P::Closed),
        (P::Ending,     I::Restart)      => (A::Hasten,  P::Ending),
        (P::Ending,     I::Wake)         => (A::Hasten,  P::Ending),

        (P::Waiting,    I::Deadline)     => (A::Ask,     P::Headers),
        (P::Waiting,    I::LifeOver)     => (A::End,     P::Ending),
        (P::Waiting,    I::Restart)      => (A::Hasten,  P::Waiting),
        (P::Waiting,    I::Wake)         => (A::Hasten,  P::Waiting),

        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const PHASES: [Phase; 8] = [
        Phase::Headers,
        Phase::Ready,
        Phase::Connecting,
        Phase::Streaming,
        Phase::Refused,
        Phase::Ending,
        Phase::Waiting,
        Phase::Closed,
    ];

    const INPUTS: [Input; 15] = [
        Input::HeadersGiven,
        Input::Taken,
        Input::Accepted,
        Input::Redirected,
        Input::Rejected,
        Input::Data,
        Input::Lost,
        Input::Deadline,
        Input::LifeOver,
        Input::Sentinel,
        Input::Retry,
        Input::GiveUp,
        Input::Restart,
        Input::Wake,
        Input::Close,
    ];

    fn transitions() -> Vec<(Phase, Input, Action, Phase)> {
        let mut all = Vec::new();
        for phase in PHASES {
            for input in INPUTS {
                if let Some((action, next)) = transition(phase, input) {
                    all.push((phase, input, action, next));
                }
            }
        }
        all
    }

    #[test]
    fn nothing_leaves_closed_and_the_caller_can_close_everything_else() {
        assert!(transitions().iter().all(|row| row.0 != Phase::Closed));
        for phase in PHASES {
            let closing = transition(phase, Input::Close);
            let expected = (phase != Phase::Closed).then_some((Action::Close, Phase::Closed));
            assert_eq!(closing, expected);
        }
    }

    #[test]
    fn only_ending_decides_and_it_is_left_only_by_a_decision() {
        for (phase, input, _, next) in transitions() {
            if matches!(next, Phase::Waiting | Phase::Closed) && input != Input::Close {
                assert!(matches!(phase, Phase::Ending | Phase::Waiting), "{phase:?} {input:?}");
            }
            if phase == Phase::Ending && next != Phase::Ending {
                assert!(matches!(input, Input::Retry | Input::GiveUp | Input::Close), "{input:?}");
            }
        }
    }

    #[test]
    fn a_request_goes_out_only_after_headers_or_a_redirect() {
        for (phase, input, action, next) in transitions() {
            if next == Phase::Ready {
                assert!(
                    (phase, input) == (Phase::Headers, Input::HeadersGiven)
                        || (phase, action) == (Phase::Connecting, Action::Follow),
                );
            }
            if next == Phase::Headers {
                assert_eq!((phase, input), (Phase::Waiting, Input::Deadline));
            }
        }
    }

    #[test]
    fn every_phase_can_be_reached_and_every_live_one_ends_with_the_clients_life() {
        let mut reached = Vec::from([Phase::Headers]);
        while let Some((.., next)) = transitions()
            .into_iter()
            .find(|(phase, .., next)| reached.contains(phase) && !reached.contains(next))
        {
            reached.push(next);
        }
        assert_eq!(reached.len(), PHASES.len());
        for phase in PHASES {
            let over = transition(phase, Input::LifeOver).is_some();
            assert_eq!(over, !matches!(phase, Phase::Ending | Phase::Closed), "{phase:?}");
        }
    }
}
