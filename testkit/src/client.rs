//! One client on a blocking socket, which sees every byte.
