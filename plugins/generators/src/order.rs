//! In which order an array's elements lie in a file, seen from R's, where the first subscript is the fastest.

use cowshed_plugins::prelude::*;

/// Bytes that are read to pick elements that lie apart.
const SPAN: usize = 64 << 10;

/// Each dimension's length, and how far apart its neighbours lie; the first is R's fastest. None if elements lie as R has them.
pub(crate) struct Order(Vec<(u64, u64)>);

impl Order {
    /// As R has them.
    pub(crate) fn plain() -> Order {
        Order(Vec::new())
    }

    /// With the last subscript the fastest.
    pub(crate) fn turned(shape: &[u64]) -> Order {
        // Dimensions of one element do not matter, and what is left may be one.
        let mut dimensions = Vec::new();
        let mut apart = 1;
        for length in shape.iter().rev().filter(|length| **length != 1) {
            dimensions.push((*length, apart));
            apart *= length;
        }
        dimensions.reverse();
        if dimensions.len() < 2 || apart == 0 { Order::plain() } else { Order(dimensions) }
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads elements of so many bytes, from R's number `start` on, by `read`, which is told the number of the first in the file.
    pub(crate) fn read(
        &self,
        start: u64,
        width: usize,
        out: &mut [u8],
        read: impl Fn(u64, &mut [u8]) -> Filled,
    ) -> Filled {
        let Some(&(length, apart)) = self.0.first() else { return read(start, out) };
        let mut span = Vec::new();
        let mut rest = out;
        let mut at = start;
        while !rest.is_empty() {
            // Elements that differ in the first subscript only.
            let n = (length - at % length).min((rest.len() / width) as u64) as usize;
            let (now, later) = rest.split_at_mut(n * width);
            gather(self.place(at), apart, width, now, &mut span, &read)?;
            (at, rest) = (at + n as u64, later);
        }
        Ok(())
    }

    /// The number in the file of an element.
    fn place(&self, i: u64) -> u64 {
        let mut left = i;
        let mut place = 0;
        for (length, apart) in &self.0 {
            place += left % length * apart;
            left /= length;
        }
        place
    }
}

/// Reads elements at `first`, `first + apart`, ...: with all that is between them if that is little.
fn gather(
    first: u64,
    apart: u64,
    width: usize,
    out: &mut [u8],
    span: &mut Vec<u8>,
    read: &impl Fn(u64, &mut [u8]) -> Filled,
) -> Filled {
    let step = usize::try_from(apart).unwrap_or(usize::MAX).saturating_mul(width);
    let at_once = SPAN.saturating_sub(width) / step + 1;
    for (out, k) in out.chunks_mut(at_once * width).zip((0..).step_by(at_once)) {
        let first = first + k as u64 * apart;
        let n = out.len() / width;
        if n == 1 {
            read(first, out)?;
            continue;
        }
        span.resize((n - 1) * step + width, 0);
        read(first, span)?;
        for (element, place) in out.chunks_exact_mut(width).zip((0..).step_by(step)) {
            element.copy_from_slice(&span[place..place + width]);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Elements of one byte each, which say where they are in the file.
    fn read(order: &Order, start: u64, n: usize, width: usize) -> Vec<u8> {
        let mut out = vec![0; n * width];
        let file = |at: u64, out: &mut [u8]| {
            for (byte, i) in out.iter_mut().zip(at * width as u64..) {
                *byte = (i / width as u64) as u8;
            }
            Ok(())
        };
        order.read(start, width, &mut out, file).unwrap();
        out
    }

    #[test]
    fn a_matrix_is_turned() {
        let order = Order::turned(&[2, 3]);
        assert_eq!(read(&order, 0, 6, 1), [0, 3, 1, 4, 2, 5]);
        assert_eq!(read(&order, 1, 3, 2), [3, 3, 1, 1, 4, 4]);
    }

    #[test]
    fn any_part_of_an_array_is_where_it_belongs() {
        let shape = [3u64, 1, 4, 5];
        let order = Order::turned(&shape);
        let mut all = Vec::new();
        for l in 0..5 {
            for k in 0..4 {
                for i in 0..3 {
                    all.push((i * 20 + k * 5 + l) as u8);
                }
            }
        }
        for start in 0..60 {
            for n in 0..60 - start {
                assert_eq!(read(&order, start as u64, n, 1), all[start..start + n]);
            }
        }
    }

    #[test]
    fn what_has_one_dimension_is_not_turned() {
        for shape in [&[][..], &[7], &[1, 7], &[7, 1, 1], &[0, 3], &[3, 0]] {
            assert!(Order::turned(shape).is_plain());
        }
    }
}
