//! A store's report as columns, for `sharedObjectReport()` to make a data frame of.

use cowshed_altrep::core::{About, Reported};
use cowshed_altrep::{R, Result, Sexp, verbs};

const COLUMNS: [&str; 11] =
    ["id", "name", "size", "strategy", "length", "created", "pid", "freed", "holders", "in_flight", "more_in_flight"];

pub(crate) fn columns(r: R) -> Result<Sexp> {
    let mut all = verbs::report_store(r)?;
    all.sort_by_key(|one| (one.listed.created, one.listed.id));
    let numbers = |of: &dyn Fn(&Reported) -> f64| r.numbers(all.len(), |i| of(&all[i]));
    let strings = |of: &dyn Fn(&Reported) -> String| r.strings(all.len(), |i| of(&all[i]));
    let about = |of: fn(&About) -> f64| numbers(&move |one| one.listed.about.as_ref().map_or(f64::NAN, of));
    r.named_list(&COLUMNS, |i| match COLUMNS[i] {
        "id" => strings(&|one| one.listed.id.to_string()),
        "name" => strings(&|one| one.listed.name.clone().unwrap_or_default()),
        "size" => numbers(&|one| one.listed.size as f64),
        "strategy" => strings(&|one| one.listed.about.as_ref().map_or_else(String::new, |a| a.strategy.clone())),
        "length" => about(|a| a.length as f64),
        "created" => numbers(&|one| one.listed.created as f64),
        "pid" => about(|a| f64::from(a.header.pid)),
        "freed" => numbers(&|one| f64::from(one.freed)),
        "holders" => r.list(all.len(), |i| r.numbers(all[i].holders.len(), |j| f64::from(all[i].holders[j]))),
        "in_flight" => numbers(&|one| one.in_flight as f64),
        _ => numbers(&|one| f64::from(one.more_in_flight)),
    })
}
