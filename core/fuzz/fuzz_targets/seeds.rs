//! Writes the first inputs of a target into a directory: `seeds TARGET DIRECTORY`.

fn main() {
    let [target, dir] = [1, 2].map(|i| std::env::args().nth(i).expect("seeds TARGET DIRECTORY"));
    let target = fuzzed::TARGETS.into_iter().find(|t| t.name == target).expect("one of the targets");
    for (i, seed) in (target.seeds)().iter().enumerate() {
        std::fs::write(format!("{dir}/seed-{i:03}"), seed).expect("a directory to write to");
    }
}
