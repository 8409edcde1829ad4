//! Any frame on an interface with transit rules.
#![cfg_attr(fuzzing, no_main)]

use gre_fuzz::support::{book::Book, invariants::passing, plain};

thread_local! {
    static BOOK: Book = Book::cast();
}

gre_fuzz::target!(check);

fn check(frame: &[u8]) {
    BOOK.with(|book| {
        passing::meets_its_rule(book, frame);
        // Chance seldom finds a checksum.
        if let Some(frame) = plain::repaired(frame) {
            passing::meets_its_rule(book, &frame);
        }
    });
}
