// Quantizers of the formats with blocks of 32; BlockFormatsSmall.swift tells how their bytes lie.

private let fourBits = IntegerLevels(lowest: -8, highest: 7)
private let fiveBits = IntegerLevels(lowest: -16, highest: 15)
/// −128 is left out: kernels take magnitudes of bytes.
private let eightBits = IntegerLevels(lowest: -127, highest: 127)

func encodeQ4_0(_ block: BlockSample, _ bytes: BlockWriter) {
  let scale = halfRounded(block.scale(fourBits, ScaleSearch(from: 5.4, to: 9, step: 0.2)))
  bytes.half(scale, at: 0)
  block.levels(fourBits, scale: scale) { bytes.setNibble($0, $1 + 8, at: 2) }
}

func encodeQ5_0(_ block: BlockSample, _ bytes: BlockWriter) {
  let scale = halfRounded(block.scale(fiveBits, ScaleSearch(from: 12, to: 17.5, step: 0.25)))
  bytes.half(scale, at: 0)
  bytes.clear(2..<6)
  block.levels(fiveBits, scale: scale) { bytes.setFifth($0, $1 + 16, bits: 2, nibbles: 6) }
}

func encodeQ8_0(_ block: BlockSample, _ bytes: BlockWriter) {
  let scale = halfRounded(block.scale(eightBits, ScaleSearch(from: 124, to: 129, step: 0.5)))
  bytes.half(scale, at: 0)
  block.levels(eightBits, scale: scale) { bytes[2 + $0] = UInt8(bitPattern: Int8($1)) }
}

func encodeIQ4_NL(_ block: BlockSample, _ bytes: BlockWriter) {
  let levels = IQ4Levels()
  let scale = halfRounded(block.scale(levels, .iq4))
  bytes.half(scale, at: 0)
  block.levels(levels, scale: scale) { bytes.setNibble($0, IQ4Levels.index(of: $1), at: 2) }
}

func encodeQ4_1(_ block: BlockSample, _ bytes: BlockWriter) {
  let (scale, minimum) = affine(block, highest: 15, bytes)
  block.levels(IntegerLevels(lowest: 0, highest: 15), scale: scale, minimum: minimum) {
    bytes.setNibble($0, $1, at: 4)
  }
}

func encodeQ5_1(_ block: BlockSample, _ bytes: BlockWriter) {
  let (scale, minimum) = affine(block, highest: 31, bytes)
  bytes.clear(4..<8)
  block.levels(IntegerLevels(lowest: 0, highest: 31), scale: scale, minimum: minimum) {
    bytes.setFifth($0, $1, bits: 4, nibbles: 8)
  }
}

private func affine(_ block: BlockSample, highest: Float, _ bytes: BlockWriter) -> (scale: Float, minimum: Float) {
  let found = block.range(highest: highest, minimumAtMost: .infinity)
  let (scale, minimum) = (halfRounded(found.scale), halfRounded(found.minimum))
  bytes.half(scale, at: 0)
  bytes.half(minimum, at: 2)
  return (scale, minimum)
}

extension ScaleSearch {
  static let iq4 = ScaleSearch(from: 90, to: 142, step: 2.5)
}

extension IQ4Levels {
  /// The number under which a level is stored.
  static func index(of level: Int) -> Int { indices[level + 127] }

  private static let indices = (0..<256).map { level in
    iq4Levels.firstIndex { Int($0) == level - 127 } ?? 0
  }
}

extension BlockSample {
  /// Calls `body` with each element's place and its level.
  @inline(__always) func levels(
    _ levels: some Levels, scale: Float, minimum: Float = 0, _ body: (Int, Int) -> Void
  ) {
    let inverse = reciprocal(scale)
    for i in 0..<count {
      let q = levels.nearest((values[i] - minimum) * inverse)
      for lane in 0..<8 { body(8 * i + lane, Int(q[lane])) }
    }
  }
}

extension BlockWriter {
  /// The 4-bit number of element `i` of a block of 32.
  @inline(__always) func setNibble(_ i: Int, _ q: Int, at offset: Int) {
    let number = UInt8(truncatingIfNeeded: q & 0xF)
    if i < 16 { self[offset + i] = number } else { self[offset + i - 16] |= number << 4 }
  }

  @inline(__always) func setFifth(_ i: Int, _ q: Int, bits: Int, nibbles: Int) {
    setNibble(i, q, at: nibbles)
    self[bits + i / 8] |= UInt8(truncatingIfNeeded: ((q >> 4) & 1) << (i % 8))
  }
}
