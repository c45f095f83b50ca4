//! How a vector of runs is shared: values and ends in one payload, and R's object made again around views of the two parts. How it becomes a virtual vector
//! is in `expanded`.

#![deny(unsafe_code)]

mod expanded;
mod faults;
mod troubled;

use cowshed_plugins::prelude::*;

/// Lists of class "runs".
struct Runs;

inventory::submit!(Registration(&Runs));

const NONSENSE: &str = "it is not what runs() makes";

impl Shareable for Runs {
    fn name(&self) -> &'static str {
        "rustdoor.runs"
    }

    fn class(&self) -> Option<&'static str> {
        Some("runs")
    }

    fn kinds(&self) -> &'static [u8] {
        &[kind::LIST]
    }

    fn encode(&self, r: R, x: Sexp, out: &mut Encoder<'_>) -> Result<NodeId> {
        let (Some(values), Some(ends)) =
            (x.element(r, 0)?.elements::<element::Double>(r)?, x.element(r, 1)?.elements::<element::Integer>(r)?)
        else {
            return Err(Failure::new("plugin", NONSENSE));
        };
        let values: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
        let ends: Vec<u8> = ends.iter().flat_map(|end| end.to_ne_bytes()).collect();
        let payload = out.payload_of(&[&values, &ends])?;
        let attributes = out.attributes(x)?;
        out.node(Node { length: values.len() as u64 / 8, payload, attributes, ..Node::default() }, &[])
    }

    fn open(&self, r: R, node: NodeId, from: &mut Opener<'_>) -> Result<Sexp> {
        let Node { length, payload, .. } = from.node(node)?;
        if length.checked_mul(12) != Some(payload.len()) {
            return Err(from.corrupt(node, "its runs do not fill its payload"));
        }
        let runs = r.list(2, |i| match i {
            0 => from.vector(node, kind::DOUBLE, 0, length),
            _ => from.vector(node, kind::INTEGER, length * 8, length),
        })?;
        from.restore(runs, node)?;
        Ok(runs)
    }
}

cowshed_plugins::entry_points!(R_init_rustdoor, R_unload_rustdoor);
