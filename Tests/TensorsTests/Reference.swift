// The arithmetic that the fast paths are held against: plain loops in double precision.
import CKernels
import Foundation
import Tensors
import TestSupport

/// The instruction sets that this processor can run.
let instructionSets = InstructionSet.allCases.filter(\.isSupported)

/// Those whose results are held against the portable loops.
let vectorSets = instructionSets.filter { $0 != .scalar }

extension DataType {
  /// The values of a matrix of random weights, row after row.
  func values(of tensor: Tensor) -> [Float] {
    dequantized(UnsafeRawBufferPointer(tensor.storage.bytes)) ?? []
  }
}

extension Tensor {
  init(random shape: Shape, spread: Float = 1, _ random: inout SeededRandom, _ backend: CPUBackend) {
    self.init(random.floats(shape.count, spread: spread), shape: shape, backend: backend)
  }

  /// Rows of the flat token axis.
  func part(_ rows: Range<Int>) -> [Float] {
    let width = shape.count / shape[0]
    return Array(values[rows.lowerBound * width..<rows.upperBound * width])
  }
}

/// The largest difference, and the relative error in the root mean square.
func difference(_ values: [Float], _ reference: [Double]) -> (largest: Double, relative: Double) {
  var largest = 0.0, squares = 0.0, all = 0.0
  for (value, wanted) in zip(values, reference) {
    let error = abs(Double(value) - wanted)
    largest = error.isNaN ? .infinity : max(largest, error)
    squares += error * error
    all += wanted * wanted
  }
  guard values.count == reference.count else { return (.infinity, .infinity) }
  return (largest, (squares / max(all, .leastNormalMagnitude)).squareRoot())
}

/// Whether every value is within `bound` × max(|reference|, `floor`).
func isWithin(_ bound: Double, floor: Double = 0, _ values: [Float], _ reference: [Double]) -> Bool {
  values.count == reference.count
    && zip(values, reference).allSatisfy { abs(Double($0) - $1) <= bound * max(abs($1), floor) }
}

/// Activations as the products of block formats see them: per 32 columns the largest becomes 32,639, which is
/// 127 × 256 + 127.
func roundedTo16Bits(_ x: [Float]) -> [Double] {
  var result: [Double] = []
  for start in stride(from: 0, to: x.count, by: 32) {
    let peak = x[start..<start + 32].reduce(0) { max($0, $1.magnitude) }
    let inverse = peak > 0 ? 32_639 / peak : 0
    for value in x[start..<start + 32] {
      result.append(Double((value * inverse).rounded(.toNearestOrEven)) * Double(peak / 32_639))
    }
  }
  return result
}

/// x `[tokens, columns]` × weight `[rows, columns]`, transposed.
func product(_ x: [Double], _ weight: [Float], columns: Int) -> [Double] {
  let tokens = x.count / columns, rows = weight.count / columns
  return x.withUnsafeBufferPointer { x in
    weight.withUnsafeBufferPointer { weight in
      var result: [Double] = []
      for token in 0..<tokens {
        for row in 0..<rows {
          var sum = 0.0
          for column in 0..<columns { sum += x[token * columns + column] * Double(weight[row * columns + column]) }
          result.append(sum)
        }
      }
      return result
    }
  }
}
