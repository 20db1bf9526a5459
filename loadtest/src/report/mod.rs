//! What a run has measured, for people and for programs.
//!
//! It never measures anything itself.

pub mod html;
