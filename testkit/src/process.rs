//! A server as a process of its own: started, watched, signalled and always ended.
