//! A store's reports as columns: `sharedObjectReport()` and `sharedMemoryReport()` make data frames of them.

use cowshed_altrep::core::{About, Footprint, Listed, Reported, Sent};
use cowshed_altrep::footprint::footprint;
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
        "strategy" => strings(&|one| strategy(&one.listed)),
        "length" => about(|a| a.length as f64),
        "created" => numbers(&|one| one.listed.created as f64),
        "pid" => about(|a| f64::from(a.header.pid)),
        "freed" => numbers(&|one| f64::from(one.freed)),
        "holders" => r.list(all.len(), |i| r.numbers(all[i].holders.len(), |j| f64::from(all[i].holders[j]))),
        "in_flight" => numbers(&|one| one.in_flight as f64),
        _ => numbers(&|one| f64::from(one.more_in_flight)),
    })
}

const OBJECTS: [&str; 10] = ["id", "name", "strategy", "length", "size", "views", "holders", "sent", "saved", "copied"];
const PROCESSES: [&str; 7] = ["pid", "name", "objects", "pss", "private", "rss", "total"];

/// Two lists of columns: of segments, the oldest first, and of processes.
pub(crate) fn memory(r: R) -> Result<Sexp> {
    let (mut all, processes) = footprint(r)?;
    all.sort_by_key(|one| (one.reported.listed.created, one.reported.listed.id));
    let listed = |i: usize| &all[i].reported.listed;
    let sent = |of: fn(Sent) -> u64| r.numbers(all.len(), |i| all[i].reported.sent.map_or(f64::NAN, |s| of(s) as f64));
    let objects = r.named_list(&OBJECTS, |i| match OBJECTS[i] {
        "id" => r.strings(all.len(), |i| listed(i).id.to_string()),
        "name" => r.strings(all.len(), |i| listed(i).name.clone().unwrap_or_default()),
        "strategy" => r.strings(all.len(), |i| strategy(listed(i))),
        "length" => r.numbers(all.len(), |i| listed(i).about.as_ref().map_or(f64::NAN, |a| a.length as f64)),
        "size" => r.numbers(all.len(), |i| listed(i).size as f64),
        "views" => r.numbers(all.len(), |i| all[i].views as f64),
        "holders" => r.numbers(all.len(), |i| all[i].reported.holders.len() as f64),
        "sent" => sent(|s| s.references),
        "saved" => sent(|s| s.saved),
        _ => r.numbers(all.len(), |i| all[i].copied as f64),
    })?;
    let known = |of: fn(&Footprint) -> Option<u64>| {
        let bytes = |i: usize| processes[i].footprint.as_ref().and_then(of).map_or(f64::NAN, |n| n as f64);
        r.numbers(processes.len(), bytes)
    };
    let processes = r.named_list(&PROCESSES, |i| match PROCESSES[i] {
        "pid" => r.numbers(processes.len(), |i| f64::from(processes[i].pid)),
        "name" => {
            r.strings(processes.len(), |i| processes[i].footprint.as_ref().map_or_else(String::new, |f| f.name.clone()))
        }
        "objects" => r.numbers(processes.len(), |i| processes[i].segments as f64),
        "pss" => known(|f| Some(f.pss)),
        "private" => known(|f| Some(f.private)),
        "rss" => known(|f| f.whole.map(|(rss, _)| rss)),
        _ => known(|f| f.whole.map(|(_, pss)| pss)),
    })?;
    r.list(2, |i| Ok([objects, processes][i]))
}

fn strategy(listed: &Listed) -> String {
    listed.about.as_ref().map_or_else(String::new, |about| about.strategy.clone())
}
