//! Frames that users give.
//!
//! - [`hex`]: typed, or pasted from a dump.
//! - [`capture`]: in a capture file.

pub mod capture;
pub mod hex;
