//! What single connections and addresses may take, measured in arrays by slot beside the table:
//! they are made when an option first needs them, and the record has no place for any of it.
//! It says who is over a limit, and never closes a connection itself.

pub(crate) mod clients;

pub(crate) use clients::Clients;
