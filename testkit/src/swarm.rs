//! Many clients in one thread, on mio.
