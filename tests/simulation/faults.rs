//! What is done wrong on purpose, so that the checks are seen to find it.

use crate::persist::Part;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    #[default]
    None,
    /// Two envelopes of a mailbox change places.
    SwappedMail,
    /// An envelope of a mailbox disappears.
    LostMail,
    /// Others take a worker that sleeps for one that is awake.
    LostWake,
    /// Others take a worker for a while for one that has no members.
    LateInterest,
    /// What was published for those who were there before is taken for mail of today.
    FormerMail,
    /// A reply or a pong and the delivery before it change places on their way to a client.
    SwappedFrames,
    /// The reply to an unsubscribe does not wait for what was published before.
    EarlyReply,
    /// An unsubscribe has its reply and nothing else.
    LateDelivery,
    /// The answer to a connection that is gone comes to the one in its slot.
    FormerAsker,
    /// An answer is told twice.
    TwiceAnswered,
    /// A question does not come to those outside.
    LostQuestion,
    /// A message that was kept is not handled.
    DroppedMessage,
    /// A message for who does not keep up is dropped, and not counted.
    UncountedDrop,
    /// Of what waits for who does not keep up the newest is dropped.
    DroppedNewest,
    /// What is written out of a connection loses a part now and then.
    LostPart(Part),
}
