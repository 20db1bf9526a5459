//! What goes out: from a publish to the queues of members (`deliver`), and from there to the driver
//! (`flush`, where alone bytes leave). Who joins and leaves a topic (`membership`) decides who gets
//! what, and the topic's rules (`rules`) what becomes of who does not keep up (`slow`). A queue is
//! never reordered: what was said first leaves first.

pub(crate) mod deliver;
pub(crate) mod flush;
pub(crate) mod membership;
pub(crate) mod out;
pub(crate) mod pongs;
pub(crate) mod rules;
pub(crate) mod slow;

#[cfg(test)]
mod deliver_tests;
