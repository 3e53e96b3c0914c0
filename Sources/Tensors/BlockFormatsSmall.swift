// Formats whose blocks hold 32 elements: a scale, perhaps a minimum, and 4, 5 or 8 bits for each element.
//
// Element `i` of the 4-bit part is the lower half of byte `i` for the first 16 elements, the upper half of byte
// `i - 16` for the others (`block_q4_0` … `block_iq4_nl` in ggml-common.h).

/// scale · (q − 8). Bytes: scale 0–1, nibbles 2–17.
func decodeQ4_0(_ block: StoredBlock, _ values: UnsafeMutableBufferPointer<Float>) {
  let scale = block.half(at: 0)
  for i in 0..<32 {
    values[i] = scale * Float(block.nibble(upper: i >= 16, at: 2 + i % 16) - 8)
  }
}

/// scale · q + minimum. Bytes: scale 0–1, minimum 2–3, nibbles 4–19.
func decodeQ4_1(_ block: StoredBlock, _ values: UnsafeMutableBufferPointer<Float>) {
  let (scale, minimum) = (block.half(at: 0), block.half(at: 2))
  for i in 0..<32 {
    values[i] = scale * Float(block.nibble(upper: i >= 16, at: 4 + i % 16)) + minimum
  }
}

/// scale · (q − 16). Bytes: scale 0–1, fifth bits 2–5, nibbles 6–21.
func decodeQ5_0(_ block: StoredBlock, _ values: UnsafeMutableBufferPointer<Float>) {
  let scale = block.half(at: 0)
  for i in 0..<32 {
    let q = block.nibble(upper: i >= 16, at: 6 + i % 16) | block.bit(i, at: 2) << 4
    values[i] = scale * Float(q - 16)
  }
}

/// scale · q + minimum. Bytes: scale 0–1, minimum 2–3, fifth bits 4–7, nibbles 8–23.
func decodeQ5_1(_ block: StoredBlock, _ values: UnsafeMutableBufferPointer<Float>) {
  let (scale, minimum) = (block.half(at: 0), block.half(at: 2))
  for i in 0..<32 {
    let q = block.nibble(upper: i >= 16, at: 8 + i % 16) | block.bit(i, at: 4) << 4
    values[i] = scale * Float(q) + minimum
  }
}

/// scale · q. Bytes: scale 0–1, signed bytes 2–33.
func decodeQ8_0(_ block: StoredBlock, _ values: UnsafeMutableBufferPointer<Float>) {
  let scale = block.half(at: 0)
  for i in 0..<32 {
    values[i] = scale * Float(block.signed(at: 2 + i))
  }
}

/// The 16 levels of the IQ4 formats, denser around zero.
package let iq4Levels: [Int8] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]

/// scale · level(q). Bytes: scale 0–1, nibbles 2–17.
func decodeIQ4_NL(_ block: StoredBlock, _ values: UnsafeMutableBufferPointer<Float>) {
  let scale = block.half(at: 0)
  for i in 0..<32 {
    values[i] = scale * Float(iq4Levels[block.nibble(upper: i >= 16, at: 2 + i % 16)])
  }
}
