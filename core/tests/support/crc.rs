//! The checksum of the format page, anew.

/// CRC-32 (IEEE), a byte at a time.
pub fn crc32(bytes: &[u8]) -> u32 {
    const STEPS: [u32; 256] = {
        let (mut steps, mut byte) = ([0; 256], 0);
        while byte < 256 {
            let (mut crc, mut bit) = (byte as u32, 0);
            while bit < 8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
                bit += 1;
            }
            steps[byte] = crc;
            byte += 1;
        }
        steps
    };
    !bytes.iter().fold(!0, |crc: u32, &b| STEPS[usize::from(crc as u8 ^ b)] ^ crc >> 8)
}
