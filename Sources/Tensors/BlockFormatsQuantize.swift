// Turns floats into stored blocks by the reference rounding, for tests and converters that need exact bytes.

extension DataType {
  /// The stored form of `values`, rounded as ggml's reference does (`quantize_row_*_ref` in `ggml-quants.c`).
  ///
  /// Offered for F32, F16, BF16, Q4_0, Q4_1 and Q8_0.
  /// - Returns: whole blocks, or nil when this format has no quantizer here or `values` do not fill its blocks.
  public func quantized(_ values: [Float]) -> [UInt8]? {
    guard let byteCount = bytes(forElements: values.count), let encode = blockEncoder else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(byteCount)
    for start in stride(from: 0, to: values.count, by: elementsPerBlock) {
      encode(values[start..<(start + elementsPerBlock)], &bytes)
    }
    return bytes
  }

  private var blockEncoder: ((ArraySlice<Float>, inout [UInt8]) -> Void)? {
    switch self {
    case .f32: { values, bytes in for value in values { bytes.append(littleEndian: value.bitPattern) } }
    case .f16: { values, bytes in for value in values { bytes.append(littleEndian: HalfPrecision.encode(value)) } }
    case .bf16: { values, bytes in for value in values { bytes.append(littleEndian: BrainFloat.encode(value)) } }
    case .q4_0: encodeQ4_0
    case .q4_1: encodeQ4_1
    case .q8_0: encodeQ8_0
    default: nil
    }
  }
}

/// The element farthest from zero becomes −8, so that the scale carries its sign.
private func encodeQ4_0(_ values: ArraySlice<Float>, _ bytes: inout [UInt8]) {
  var farthest: Float = 0
  for value in values where value.magnitude > farthest.magnitude { farthest = value }
  let scale = farthest / -8
  bytes.append(littleEndian: HalfPrecision.encode(scale))
  let inverse = reciprocal(scale)
  appendNibbles(values.map { level($0 * inverse + 8.5, atMost: 15) }, to: &bytes)
}

private func encodeQ4_1(_ values: ArraySlice<Float>, _ bytes: inout [UInt8]) {
  let minimum = values.min() ?? 0
  let scale = ((values.max() ?? 0) - minimum) / 15
  bytes.append(littleEndian: HalfPrecision.encode(scale))
  bytes.append(littleEndian: HalfPrecision.encode(minimum))
  let inverse = reciprocal(scale)
  appendNibbles(values.map { level(($0 - minimum) * inverse + 0.5, atMost: 15) }, to: &bytes)
}

private func encodeQ8_0(_ values: ArraySlice<Float>, _ bytes: inout [UInt8]) {
  let scale = values.reduce(0) { max($0, $1.magnitude) } / 127
  bytes.append(littleEndian: HalfPrecision.encode(scale))
  let inverse = reciprocal(scale)
  for value in values {
    let rounded = (value * inverse).rounded(.toNearestOrAwayFromZero)
    let level = rounded.isNaN ? 0 : Int8(max(-127, min(127, rounded)))
    bytes.append(UInt8(bitPattern: level))
  }
}

private func reciprocal(_ scale: Float) -> Float { scale == 0 ? 0 : 1 / scale }

/// `value` without its fraction, as a level from 0; values that are not finite must not trap.
private func level(_ value: Float, atMost highest: UInt8) -> UInt8 {
  value.isNaN ? 0 : UInt8(max(0, min(Float(highest), value)))
}

/// Element `i` goes into the lower half of byte `i`, element `i + 16` into the upper.
private func appendNibbles(_ levels: [UInt8], to bytes: inout [UInt8]) {
  for i in 0..<16 { bytes.append(levels[i] | levels[i + 16] << 4) }
}

extension [UInt8] {
  fileprivate mutating func append(littleEndian value: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }
}
