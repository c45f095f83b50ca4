//! Virtual vectors that go wrong: cowshed's tests see what becomes of that. Element i is i, as long as nothing does.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cowshed_plugins::prelude::*;

static DROPPED: AtomicUsize = AtomicUsize::new(0);

/// From here on nothing can be made.
const WRONG: u64 = 4000;

struct Troubled {
    trouble: String,
    length: u64,
    /// What was written to one that stores.
    stored: Mutex<Vec<(u64, f64)>>,
}

/// The same, which stores what is written.
struct Storing(Troubled);

inventory::submit!(VirtualKind::of::<Troubled>());

impl Drop for Troubled {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
        assert!(self.trouble != "drop", "it does not want to go");
    }
}

fn numbers(start: u64, out: &mut [f64]) {
    out.iter_mut().zip(start..).for_each(|(place, i)| *place = (i + 1) as f64);
}

fn troubled(r: R, trouble: Sexp, length: Sexp) -> Result<Sexp> {
    let trouble = trouble.text(r)?.unwrap_or_default();
    let length = length.as_number(r)?.unwrap_or(0.0) as u64;
    let stores = trouble == "store";
    let it = Troubled { trouble, length, stored: Mutex::default() };
    if stores { Storing(it).vector(r) } else { it.vector(r) }
}

impl Virtual for Troubled {
    type Element = f64;
    const DESCRIPTION: &'static str = "a troubled one";
    const NAME: Option<&'static str> = Some("rustdoor.troubled");
    const HOOKS: bool = true;

    fn length(&self) -> u64 {
        self.length
    }

    fn fill(&self, start: u64, out: &mut [f64]) -> Filled {
        let end = start + out.len() as u64;
        match self.trouble.as_str() {
            "fail" if end > WRONG => return Err("it does not want to".to_owned()),
            "panic" => assert!(end <= WRONG, "made too much"),
            _ => {}
        }
        numbers(start, out);
        Ok(())
    }

    fn needs_r(&self) -> bool {
        self.trouble.starts_with('r')
    }

    fn fill_in_r(&self, r: R, start: u64, out: &mut [f64]) -> Result<()> {
        // R objects come and go.
        r.numbers(100, |i| i as f64)?;
        if start + out.len() as u64 > WRONG {
            match self.trouble.as_str() {
                // A list has as many elements as it has, and R says so.
                "rstop" => drop(r.list(usize::MAX >> 1, |_| r.number(1.0))?),
                "rpanic" => panic!("made too much"),
                "rfail" => return Err(Failure::new("generator", "it does not want to")),
                _ => {}
            }
        }
        numbers(start, out);
        Ok(())
    }

    fn facts(&self) -> Facts {
        Facts { no_na: true, increasing: true, decreasing: false }
    }

    fn recipe(&self, r: R) -> Result<Sexp> {
        match self.trouble.as_str() {
            "recipe" => Err(Failure::new("plugin", "it keeps its recipe")),
            _ => r.list(2, |i| if i == 0 { r.string(&self.trouble) } else { r.number(self.length as f64) }),
        }
    }

    fn restore(r: R, recipe: Sexp) -> Result<Sexp> {
        let trouble = recipe.element(r, 0)?;
        assert!(trouble.text(r)?.as_deref() != Some("restore"), "restored too much");
        troubled(r, trouble, recipe.element(r, 1)?)
    }

    fn subset(&self, r: R, _: Sexp, _: Sexp) -> Result<Option<Sexp>> {
        match self.trouble.as_str() {
            "subset" => panic!("too many subscripts"),
            "half" => r.number(0.5).map(Some),
            _ => Ok(None),
        }
    }

    fn inspect(&self) -> String {
        format!("  its trouble is {}\n", self.trouble)
    }
}

impl Virtual for Storing {
    type Element = f64;
    const DESCRIPTION: &'static str = "one that stores";
    const STORES: bool = true;

    fn length(&self) -> u64 {
        self.0.length
    }

    fn fill(&self, start: u64, out: &mut [f64]) -> Filled {
        numbers(start, out);
        for (i, value) in self.0.stored.lock().map_err(|e| e.to_string())?.iter() {
            if let Some(place) = i.checked_sub(start).and_then(|i| out.get_mut(i as usize)) {
                *place = *value;
            }
        }
        Ok(())
    }

    fn store(&self, start: u64, elements: &[f64]) -> Filled {
        let mut stored = self.0.stored.lock().map_err(|e| e.to_string())?;
        stored.extend((start..).zip(elements.iter().copied()));
        Ok(())
    }
}

cowshed_plugins::routines! {
    /// One with a trouble of this name.
    fn rustdoor_troubled(r, trouble, length) {
        troubled(r, trouble, length)
    }

    /// Keeps an R object for a moment, and lets go of it on another thread.
    fn rustdoor_keep(r, x) {
        let kept: Vec<_> = (0..40).map(|_| Kept::new(r, x)).collect::<Result<_>>()?;
        let ended = std::thread::spawn(move || drop(kept)).join();
        r.logical(ended.is_ok())
    }

    /// How many of them were dropped.
    fn rustdoor_dropped(r) {
        r.number(DROPPED.load(Ordering::Relaxed) as f64)
    }
}
