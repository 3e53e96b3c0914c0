// How much each format loses, beside ggml's own quantizers on the same rows.
import Tensors
import Testing

@Suite struct BlockErrorTests {
  /// Of normally distributed numbers; a little above what was measured.
  static func bound(_ type: DataType) -> Double {
    switch type {
    case .f32: 0
    case .f16: 3e-4
    case .bf16: 2.4e-3
    case .q4_0: 0.082
    case .q4_1: 0.070
    case .q5_0: 0.0405
    case .q5_1: 0.0345
    case .q8_0: 0.005
    case .q2_k: 0.266
    case .q3_k: 0.147
    case .q4_k: 0.071
    case .q5_k: 0.0355
    case .q6_k: 0.017
    case .iq4_nl: 0.0745
    case .iq4_xs: 0.075
    }
  }

  @Test(arguments: DataType.allCases)
  func `a format loses no more of normally distributed numbers than its bound`(type: DataType) {
    let error = Rows.error(type, Rows.values("normal"), importance: nil, weights: nil)
    #expect(error <= Self.bound(type), "\(type.name): \(error)")
  }

  @Test(arguments: Rows.blockFormats, Rows.kinds)
  func `no format loses more than with ggml's quantizer`(type: DataType, kind: String) throws {
    let values = Rows.values(kind)
    let plain = try #require(Rows.reference["\(kind) plain \(type.name)"])
    #expect(Rows.error(type, values, importance: nil, weights: nil) <= plain)
    let weighted = try #require(Rows.reference["\(kind) weighted \(type.name)"])
    #expect(Rows.error(type, values, importance: Rows.importance, weights: Rows.importance) <= weighted)
  }

  @Test(arguments: Rows.blockFormats)
  func `importance lowers the error that it weighs`(type: DataType) {
    let values = Rows.values("heavy")
    let without = Rows.error(type, values, importance: nil, weights: Rows.importance)
    let with = Rows.error(type, values, importance: Rows.importance, weights: Rows.importance)
    #expect(with < without)
  }

  @Test(arguments: Rows.blockFormats)
  func `only the ratios of importance count`(type: DataType) {
    let values = Rows.values("normal")
    #expect(type.quantized(values, importance: Rows.importance)
      == type.quantized(values, importance: Rows.importance.map { $0 * 1024 }))
    let same = [Float](repeating: 3, count: Rows.columns)
    let alike = Rows.error(type, values, importance: same, weights: nil)
    #expect(abs(alike / Rows.error(type, values, importance: nil, weights: nil) - 1) < 0.1)
  }

  @Test(arguments: Rows.blockFormats)
  func `numbers that a block can hold come back`(type: DataType) throws {
    // Levels of a scale that is a power of two: exact in every format but those whose levels are uneven.
    let values = (0..<512).map { index -> Float in
      let level = (index * 7 + index / 32) % 4
      return Float(level - 2)
    }
    let bytes = try #require(type.quantized(values))
    let stored = try #require(bytes.withUnsafeBytes { type.dequantized($0) })
    let largest = zip(values, stored).map { abs($0 - $1) }.max() ?? .infinity
    #expect(largest <= 0.02 || type == .iq4_nl || type == .iq4_xs, "\(type.name): \(largest)")
  }

  @Test(arguments: Rows.blockFormats)
  func `zeros stay zeros`(type: DataType) throws {
    let bytes = try #require(type.quantized([Float](repeating: 0, count: 256)))
    #expect(bytes.withUnsafeBytes { type.dequantized($0) } == [Float](repeating: 0, count: 256))
  }

  @Test(arguments: Rows.blockFormats, [
    Float.nan, .infinity, -.infinity, .greatestFiniteMagnitude, -.greatestFiniteMagnitude, .leastNonzeroMagnitude,
    1e-20, 6e-8, 70_000, -1e7,
  ])
  func `odd numbers become finite ones`(type: DataType, odd: Float) throws {
    var mixed = [Float](repeating: 1, count: 256)
    for index in stride(from: 7, to: 256, by: 31) { mixed[index] = odd }
    for values in [mixed, [Float](repeating: odd, count: 256), mixed.map { $0 == 1 ? -odd : $0 }] {
      for importance in [nil, [Float](repeating: odd, count: 256), [Float](repeating: 0, count: 256)] {
        let bytes = try #require(type.quantized(values, importance: importance))
        let stored = try #require(bytes.withUnsafeBytes { type.dequantized($0) })
        #expect(!stored.contains { !$0.isFinite }, "\(type.name) of \(odd)")
      }
    }
  }

  @Test func `what does not fill blocks is not quantized`() {
    #expect(DataType.q4_k.quantized([Float](repeating: 1, count: 128)) == nil)
    #expect(DataType.q8_0.quantized([1, 2, 3]) == nil)
    let values = [Float](repeating: 1, count: 96)
    #expect(DataType.q8_0.quantized(values, importance: [Float](repeating: 1, count: 64)) == nil)
    #expect(DataType.q8_0.quantized(values, importance: [Float](repeating: 1, count: 48)) == nil)
    #expect(DataType.q8_0.quantized(values, importance: []) == nil)
    #expect(DataType.q8_0.quantized([]) == [])
  }
}
