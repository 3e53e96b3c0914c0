// The rows and figures that Fixtures/quantization.py made.
import Foundation
import Tensors
import TestSupport

enum Rows {
  static let columns = 1024
  static let kinds = ["normal", "heavy", "shifted"]
  static let blockFormats = DataType.allCases.filter(\.isQuantized)

  private static let numbers: [Float] = {
    guard let data = try? fixture("rows.bin") else { return [] }
    return data.withUnsafeBytes { bytes in
      stride(from: 0, to: bytes.count, by: 4).map { bytes.loadUnaligned(fromByteOffset: $0, as: Float.self) }
    }
  }()

  static func values(_ kind: String) -> [Float] {
    let count = (numbers.count - columns) / kinds.count, index = kinds.firstIndex(of: kind) ?? 0
    return Array(numbers[index * count..<(index + 1) * count])
  }

  static let importance = Array(numbers.suffix(columns))

  /// What ggml's quantizers lose, by kind, weighting and format.
  static let reference: [String: Double] = {
    (try? JSONDecoder().decode([String: Double].self, from: fixture("errors.json"))) ?? [:]
  }()

  /// The root of the sum of squared errors, relative to that of the values; squares count by `weights`.
  static func error(_ type: DataType, _ values: [Float], importance: [Float]?, weights: [Float]?) -> Double {
    guard let bytes = type.quantized(values, importance: importance),
      let stored = bytes.withUnsafeBytes({ type.dequantized($0) })
    else { return .infinity }
    var off = 0.0, all = 0.0
    for index in values.indices {
      let weight = Double(weights.map { $0[index % $0.count] } ?? 1)
      let difference = Double(stored[index]) - Double(values[index])
      off += weight * difference * difference
      all += weight * Double(values[index]) * Double(values[index])
    }
    return (off / all).squareRoot()
  }
}
