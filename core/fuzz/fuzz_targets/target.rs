//! A target as libFuzzer wants it: half of the changes are its own, half the target's.

macro_rules! target {
    ($target:expr) => {
        libfuzzer_sys::fuzz_target!(|input: &[u8]| ($target.run)(input));

        libfuzzer_sys::fuzz_mutator!(|input: &mut [u8], len: usize, most: usize, seed: u32| {
            if seed & 1 == 0 {
                return libfuzzer_sys::fuzzer_mutate(input, len, most);
            }
            ($target.mutate)(&mut fuzzed::dice::Dice(seed.into()), &mut input[..len]);
            len
        });
    };
}
