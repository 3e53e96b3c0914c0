// Turns floats into stored blocks that lose as little as the format allows, with or without knowing what matters.

extension DataType {
  /// Writes the stored form of rows of floats.
  ///
  /// Scales and minima are searched so that the weighted sum of squared errors is small; numbers that a format keeps as
  /// they are, are rounded to nearest. A NaN becomes 0 and what is too large for a block its largest number; plain
  /// numbers keep both. A block depends on nothing but its own numbers and weights.
  /// - Parameters:
  ///   - values: whole rows
  ///   - importance: for each column of a row, how much an error there matters: the mean square of what the column is
  ///     multiplied with. Numbers that are not positive and finite count as a very small weight.
  ///   - destination: room for exactly the blocks of `values`
  /// - Precondition: `destination.count == bytes(forElements: values.count)`, and `importance` has whole blocks and
  ///   divides `values`.
  public func quantize(
    _ values: UnsafeBufferPointer<Float>, importance: UnsafeBufferPointer<Float>? = nil,
    into destination: UnsafeMutableRawBufferPointer
  ) {
    precondition(bytes(forElements: values.count) == destination.count, "the values do not fill the blocks")
    guard let target = destination.baseAddress, let source = values.baseAddress else { return }
    switch self {
    case .f32: encode(source, values.count, target) { $0.bitPattern }
    case .f16: encode(source, values.count, target, HalfPrecision.encode)
    case .bf16: encode(source, values.count, target, BrainFloat.encode)
    default: quantizeBlocks(source, values.count, importance, target)
    }
  }

  /// The stored form of `values`; see ``quantize(_:importance:into:)``.
  /// - Returns: whole blocks, or nil when `values` do not fill them or `importance` does not fit.
  public func quantized(_ values: [Float], importance: [Float]? = nil) -> [UInt8]? {
    guard let byteCount = bytes(forElements: values.count) else { return nil }
    if let importance {
      guard !importance.isEmpty, importance.count % elementsPerBlock == 0, values.count % importance.count == 0 else {
        return nil
      }
    }
    return [UInt8](unsafeUninitializedCapacity: byteCount) { bytes, initialized in
      let target = UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: bytes[..<byteCount]))
      values.withUnsafeBufferPointer { values in
        guard let importance else { return quantize(values, into: target) }
        importance.withUnsafeBufferPointer { quantize(values, importance: $0, into: target) }
      }
      initialized = byteCount
    }
  }

  private func encode<Bits: FixedWidthInteger>(
    _ source: UnsafePointer<Float>, _ count: Int, _ target: UnsafeMutableRawPointer, _ bits: (Float) -> Bits
  ) {
    for i in 0..<count {
      target.storeBytes(of: bits(source[i]).littleEndian, toByteOffset: i * MemoryLayout<Bits>.size, as: Bits.self)
    }
  }

  private func quantizeBlocks(
    _ source: UnsafePointer<Float>, _ count: Int, _ importance: UnsafeBufferPointer<Float>?,
    _ target: UnsafeMutableRawPointer
  ) {
    let elements = elementsPerBlock, encode = blockEncoder
    let block = BlockSample(elements: elements)
    defer { block.deallocate() }
    let floor = importance.map { Self.leastWeight($0) } ?? 0
    var column = 0
    for index in 0..<count / elements {
      let weights = importance.flatMap { $0.baseAddress }.map { $0 + column }
      block.load(source + index * elements, importance: weights, atLeast: floor)
      encode(block, BlockWriter(start: target + index * bytesPerBlock))
      column += elements
      if column >= importance?.count ?? 0 { column = 0 }
    }
  }

  /// A column that calibration never saw still wants sensible numbers: a ten-thousandth of the mean.
  private static func leastWeight(_ importance: UnsafeBufferPointer<Float>) -> Float {
    var sum = 0.0, count = 0
    for weight in importance where weight > 0 && weight.isFinite {
      sum += Double(weight)
      count += 1
    }
    let mean = count > 0 ? Float(sum / Double(count)) : 1
    return max(mean * 1e-4, .leastNormalMagnitude)
  }

  private var blockEncoder: (BlockSample, BlockWriter) -> Void {
    switch self {
    case .q4_0: encodeQ4_0
    case .q4_1: encodeQ4_1
    case .q5_0: encodeQ5_0
    case .q5_1: encodeQ5_1
    case .iq4_nl: encodeIQ4_NL
    case .q2_k: encodeQ2_K
    case .q3_k: encodeQ3_K
    case .q4_k: encodeQ4_K
    case .q5_k: encodeQ5_K
    case .q6_k: encodeQ6_K
    case .iq4_xs: encodeIQ4_XS
    case .q8_0, .f32, .f16, .bf16: encodeQ8_0  // plain numbers never come here
    }
  }
}

/// Where a block's bytes go.
struct BlockWriter {
  let start: UnsafeMutableRawPointer

  subscript(offset: Int) -> UInt8 {
    get { start.load(fromByteOffset: offset, as: UInt8.self) }
    nonmutating set { start.storeBytes(of: newValue, toByteOffset: offset, as: UInt8.self) }
  }

  func clear(_ range: Range<Int>) {
    for offset in range { self[offset] = 0 }
  }

  func half(_ value: Float, at offset: Int) {
    let bits = HalfPrecision.encode(value)
    self[offset] = UInt8(truncatingIfNeeded: bits)
    self[offset + 1] = UInt8(truncatingIfNeeded: bits >> 8)
  }
}
