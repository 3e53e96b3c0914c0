// Formats whose blocks hold 256 elements in sub-blocks of 16 or 32, each with a small scale of its own.
//
// Written as "what is element i", so that each line can be held against the structs of ggml-common.h. Elements go by
// runs of 32; a byte of 2-bit numbers serves four runs, one of 4-bit numbers two.

/// (d · scale) · q − (dmin · minimum), 16 sub-blocks.
/// Bytes: scale and minimum nibbles 0–15, 2-bit numbers 16–79, d 80–81, dmin 82–83.
func decodeQ2_K(_ block: StoredBlock, _ values: UnsafeMutableBufferPointer<Float>) {
  let (d, dmin) = (block.half(at: 80), block.half(at: 82))
  for i in 0..<256 {
    let scale = d * Float(block.nibble(upper: false, at: i / 16))
    let minimum = dmin * Float(block.nibble(upper: true, at: i / 16))
    values[i] = scale * Float(twoBits(block, of: i, at: 16)) - minimum
  }
}

/// d · (scale − 32) · (q − 4), 16 sub-blocks; the third bit of q is kept apart.
/// Bytes: third bits 0–31, 2-bit numbers 32–95, 6-bit scales 96–107, d 108–109.
func decodeQ3_K(_ block: StoredBlock, _ values: UnsafeMutableBufferPointer<Float>) {
  let d = block.half(at: 108)
  for i in 0..<256 {
    let sub = i / 16
    let low = block.nibble(upper: sub >= 8, at: 96 + sub % 8)
    let high = block[104 + sub % 4] >> (2 * (sub / 4)) & 3
    let third = block[i % 32] >> (i / 32) & 1
    let q = twoBits(block, of: i, at: 32) | third << 2
    values[i] = d * Float((low | high << 4) - 32) * Float(q - 4)
  }
}

/// (d · scale) · q − (dmin · minimum), 8 sub-blocks.
/// Bytes: d 0–1, dmin 2–3, 6-bit scales and minima 4–15, nibbles 16–143.
func decodeQ4_K(_ block: StoredBlock, _ values: UnsafeMutableBufferPointer<Float>) {
  let (d, dmin) = (block.half(at: 0), block.half(at: 2))
  for i in 0..<256 {
    let (scale, minimum) = scaleAndMinimum(block, of: i / 32)
    let q = block.nibble(upper: i / 32 % 2 == 1, at: 16 + i / 64 * 32 + i % 32)
    values[i] = d * Float(scale) * Float(q) - dmin * Float(minimum)
  }
}

/// As Q4_K with a fifth bit. Bytes: d 0–1, dmin 2–3, scales and minima 4–15, fifth bits 16–47, nibbles 48–175.
func decodeQ5_K(_ block: StoredBlock, _ values: UnsafeMutableBufferPointer<Float>) {
  let (d, dmin) = (block.half(at: 0), block.half(at: 2))
  for i in 0..<256 {
    let (scale, minimum) = scaleAndMinimum(block, of: i / 32)
    let fifth = block[16 + i % 32] >> (i / 32) & 1
    let q = block.nibble(upper: i / 32 % 2 == 1, at: 48 + i / 64 * 32 + i % 32) | fifth << 4
    values[i] = d * Float(scale) * Float(q) - dmin * Float(minimum)
  }
}

/// d · scale · (q − 32), 16 sub-blocks.
/// Bytes: low nibbles 0–127, upper 2-bit parts 128–191, signed scales 192–207, d 208–209.
func decodeQ6_K(_ block: StoredBlock, _ values: UnsafeMutableBufferPointer<Float>) {
  let d = block.half(at: 208)
  for i in 0..<256 {
    let low = block.nibble(upper: i / 64 % 2 == 1, at: i / 128 * 64 + i % 64)
    let q = low | twoBits(block, of: i, at: 128) << 4
    values[i] = d * Float(block.signed(at: 192 + i / 16)) * Float(q - 32)
  }
}

/// d · (scale − 32) · level(q), 8 sub-blocks, each laid out as a block of IQ4_NL.
/// Bytes: d 0–1, upper 2 bits of the scales 2–3, lower nibbles 4–7, nibbles 8–135.
func decodeIQ4_XS(_ block: StoredBlock, _ values: UnsafeMutableBufferPointer<Float>) {
  let d = block.half(at: 0)
  let upperBits = Int(block.integer(at: 2, as: UInt16.self))
  for i in 0..<256 {
    let sub = i / 32
    let scale = block.nibble(upper: sub % 2 == 1, at: 4 + sub / 2) | (upperBits >> (2 * sub) & 3) << 4
    let q = block.nibble(upper: i / 16 % 2 == 1, at: 8 + sub * 16 + i % 16)
    values[i] = d * Float(scale - 32) * Float(iq4Levels[q])
  }
}

/// The 2-bit number of element `i`, where 32 bytes serve 128 elements.
private func twoBits(_ block: StoredBlock, of i: Int, at offset: Int) -> Int {
  block[offset + i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3
}

/// The 6-bit scale and minimum of a sub-block of Q4_K and Q5_K.
///
/// The first four scales are the low 6 bits of bytes 4–7 and their minima those of bytes 8–11. The others have their
/// low 4 bits in bytes 12–15 and their upper 2 bits on top of those first ones.
private func scaleAndMinimum(_ block: StoredBlock, of sub: Int) -> (scale: Int, minimum: Int) {
  let (first, second) = (block[4 + sub % 4], block[8 + sub % 4])
  if sub < 4 { return (first & 0x3F, second & 0x3F) }
  return (
    block.nibble(upper: false, at: 8 + sub) | (first >> 6) << 4,
    block.nibble(upper: true, at: 8 + sub) | (second >> 6) << 4
  )
}
