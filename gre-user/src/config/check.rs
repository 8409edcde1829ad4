//! Whether the items of a file go together.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    file::{Contents, Placed, Problem},
    model::{Claim, Id, Syntax},
};

/// All that is wrong with items. `line` tells the number of the line in which a byte is.
pub fn all(contents: &Contents, line: impl Fn(usize) -> usize) -> Vec<Problem> {
    let Contents { items, unread, .. } = contents;
    let mut ids: BTreeMap<Id, usize> = BTreeMap::new();
    let mut claims: BTreeMap<Claim, &Placed> = BTreeMap::new();
    let mut problems = Vec::new();
    for placed in items {
        let (id, at) = (placed.item.id(), placed.at);
        let mut problem = |message: String| problems.push(Problem { at, message });
        if let Err(error) = placed.item.check(Syntax::File) {
            problem(format!("{id}: {error:#}"));
        }
        if let Some(&first) = ids.get(&id) {
            let line = line(first);
            problem(format!("{id} is there already, in line {line}; {}", id.kind.remedy()));
            // Its twin claims the same.
            continue;
        }
        for claim in placed.item.claims() {
            if let Some(first) = claims.get(&claim) {
                let (other, line) = (first.item.id(), line(first.at));
                let Claim { what, remedy } = &claim;
                problem(format!("{id}: {other} already {what}, in line {line}; {remedy}"));
            } else {
                claims.insert(claim, placed);
            }
        }
        ids.insert(id, at);
    }
    let known: BTreeSet<_> = ids.keys().chain(unread).collect();
    for Placed { item, at } in items {
        for missing in item.needs().into_iter().filter(|id| !known.contains(id)) {
            let (id, kind) = (item.id(), missing.kind.name());
            let message = format!(
                "{id}: there is no {missing} in this file; add a [[{kind}]] of this name, or name another"
            );
            problems.push(Problem { at: *at, message });
        }
    }
    problems
}
