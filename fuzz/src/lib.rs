//! Fuzzing of the decisions: each target takes a frame, any bytes, and panics where something that must hold does not.
//! Targets for what userspace reads are in `user`.
//!
//! A target is one file in `src/bin`, which calls [`target!`] with a function of bytes. It becomes a fuzzer when
//! it is built for that (`cargo xtask fuzz`, or `cargo fuzz run`), else a command that gives the target the
//! files it names, and in any case a test that gives it every seed.
//!
//! - [`seeds`]: the frames, or texts, that fuzzing begins with
//! - [`worlds`]: the tables that the decisions look things up in; [`chaos`]: tables in which anything stands
//! - [`support`]: what the tests of `gre-common` share

pub mod chaos;
pub mod seeds;
#[path = "../../gre-common/tests/support/mod.rs"]
#[allow(missing_docs, clippy::pedantic, reason = "checked where it belongs")]
pub mod support;
pub mod worlds;

#[cfg(fuzzing)]
pub use libfuzzer_sys;

/// Makes a fuzz target of a function that takes bytes.
#[macro_export]
macro_rules! target {
    ($check:path) => {
        #[cfg(fuzzing)]
        $crate::libfuzzer_sys::fuzz_target!(|frame: &[u8]| $check(frame));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            $crate::replay($check)
        }

        #[cfg(test)]
        #[test]
        fn every_seed_passes() {
            for (name, frame) in $crate::seeds::of(env!("CARGO_BIN_NAME")) {
                eprintln!("{name}");
                $check(&frame);
            }
        }
    };
}

/// Gives a target what is in the files that the command line names.
///
/// # Errors
///
/// When a file cannot be read.
pub fn replay(check: impl Fn(&[u8])) -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        check(&std::fs::read(&path)?);
        println!("{}: nothing found", path.display());
    }
    Ok(())
}
