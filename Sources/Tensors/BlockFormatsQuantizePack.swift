// The bytes of blocks of 256 once their numbers are found: the mirror of BlockFormatsSuper.swift.

func encodeQ2_K(_ block: BlockSample, _ bytes: BlockWriter) {
  let fit = block.affineFit(highest: 3, elements: 16, limit: 15)
  for sub in 0..<16 { bytes[sub] = UInt8(fit.scales[sub] | fit.minima[sub] << 4) }
  bytes.half(fit.d, at: 80)
  bytes.half(fit.dmin, at: 82)
  bytes.clear(16..<80)
  block.levels(fit, highest: 3) { bytes.setTwoBits($0, $1, at: 16) }
}

func encodeQ3_K(_ block: BlockSample, _ bytes: BlockWriter) {
  let levels = IntegerLevels(lowest: -4, highest: 3)
  let fit = block.symmetricFit(levels, ScaleSearch(from: 2.4, to: 4.8, step: 0.15), elements: 16, limits: -32...31)
  bytes.clear(0..<108)
  for sub in 0..<16 {
    let scale = fit.scales[sub] + 32
    bytes[96 + sub % 8] |= UInt8((scale & 0xF) << (sub < 8 ? 0 : 4))
    bytes[104 + sub % 4] |= UInt8((scale >> 4) << (2 * (sub / 4)))
  }
  bytes.half(fit.d, at: 108)
  block.levels(levels, fit) { i, q in
    bytes.setTwoBits(i, q + 4, at: 32)
    bytes[i % 32] |= UInt8(((q + 4) >> 2) << (i / 32))
  }
}

func encodeQ4_K(_ block: BlockSample, _ bytes: BlockWriter) {
  let fit = block.affineFit(highest: 15, elements: 32, limit: 63)
  bytes.setHead(fit)
  bytes.clear(16..<144)
  block.levels(fit, highest: 15) { bytes.setRunNibble($0, $1, at: 16) }
}

func encodeQ5_K(_ block: BlockSample, _ bytes: BlockWriter) {
  let fit = block.affineFit(highest: 31, elements: 32, limit: 63)
  bytes.setHead(fit)
  bytes.clear(16..<176)
  block.levels(fit, highest: 31) { i, q in
    bytes.setRunNibble(i, q & 0xF, at: 48)
    bytes[16 + i % 32] |= UInt8((q >> 4) << (i / 32))
  }
}

func encodeQ6_K(_ block: BlockSample, _ bytes: BlockWriter) {
  let levels = IntegerLevels(lowest: -32, highest: 31)
  let fit = block.symmetricFit(levels, ScaleSearch(from: 29, to: 33.5, step: 0.25), elements: 16, limits: -128...127)
  for sub in 0..<16 { bytes[192 + sub] = UInt8(bitPattern: Int8(fit.scales[sub])) }
  bytes.half(fit.d, at: 208)
  bytes.clear(0..<192)
  block.levels(levels, fit) { i, q in
    let number = q + 32
    bytes[i / 128 * 64 + i % 64] |= UInt8((number & 0xF) << (i / 64 % 2 * 4))
    bytes.setTwoBits(i, number >> 4, at: 128)
  }
}

func encodeIQ4_XS(_ block: BlockSample, _ bytes: BlockWriter) {
  let levels = IQ4Levels()
  let fit = block.symmetricFit(levels, .iq4, elements: 32, limits: -32...31)
  bytes.half(fit.d, at: 0)
  bytes.clear(2..<136)
  for sub in 0..<8 {
    let scale = fit.scales[sub] + 32
    bytes[4 + sub / 2] |= UInt8((scale & 0xF) << (sub % 2 * 4))
    bytes[2 + sub / 4] |= UInt8((scale >> 4) << (2 * (sub % 4)))
  }
  block.levels(levels, fit) { i, level in
    bytes[8 + i / 32 * 16 + i % 16] |= UInt8(IQ4Levels.index(of: level) << (i / 16 % 2 * 4))
  }
}

extension BlockSample {
  /// Calls `body` with each element's place and level.
  @inline(__always) fileprivate func levels(_ fit: AffineFit, highest: Float, _ body: (Int, Int) -> Void) {
    let elements = count * 8 / fit.scales.count
    for sub in fit.scales.indices {
      part(sub, elements: elements).levels(
        IntegerLevels(lowest: 0, highest: highest), scale: fit.d * Float(fit.scales[sub]),
        minimum: -fit.dmin * Float(fit.minima[sub])
      ) { body(sub * elements + $0, $1) }
    }
  }

  @inline(__always) fileprivate func levels(_ levels: some Levels, _ fit: SymmetricFit, _ body: (Int, Int) -> Void) {
    let elements = count * 8 / fit.scales.count
    for sub in fit.scales.indices {
      part(sub, elements: elements).levels(levels, scale: fit.d * Float(fit.scales[sub])) {
        body(sub * elements + $0, $1)
      }
    }
  }
}

extension BlockWriter {
  /// The 2-bit number of element `i`, where 32 bytes serve 128 elements.
  @inline(__always) fileprivate func setTwoBits(_ i: Int, _ q: Int, at offset: Int) {
    self[offset + i / 128 * 32 + i % 32] |= UInt8((q & 3) << (i / 32 % 4 * 2))
  }

  /// The 4-bit number of element `i`, where 32 bytes serve 64 elements.
  @inline(__always) fileprivate func setRunNibble(_ i: Int, _ q: Int, at offset: Int) {
    self[offset + i / 64 * 32 + i % 32] |= UInt8(q << (i / 32 % 2 * 4))
  }

  /// d, dmin, and eight scales and minima of 6 bits, as Q4_K and Q5_K begin.
  fileprivate func setHead(_ fit: AffineFit) {
    half(fit.d, at: 0)
    half(fit.dmin, at: 2)
    for sub in 0..<4 {
      let (scale, minimum) = (fit.scales[sub + 4], fit.minima[sub + 4])
      self[4 + sub] = UInt8(fit.scales[sub] | (scale >> 4) << 6)
      self[8 + sub] = UInt8(fit.minima[sub] | (minimum >> 4) << 6)
      self[12 + sub] = UInt8(scale & 0xF | (minimum & 0xF) << 4)
    }
  }
}
