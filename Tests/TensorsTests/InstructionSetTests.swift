// Every instruction set gives the bits of the portable loops, kernel by kernel: all do the same operations per lane.
import CKernels
import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct `Instruction sets agree to the bit` {
  private let scalar: mk_kernels

  init() throws {
    scalar = try #require(mk_kernels_of(MK_SCALAR)).pointee
  }

  private func kernels(_ set: InstructionSet) throws -> mk_kernels { try #require(mk_kernels_of(set.code)).pointee }

  /// Runs a kernel that writes `count` elements and returns them, with one more to see that it writes no further.
  private func output<T>(_ count: Int, _ guardValue: T, _ body: (UnsafeMutablePointer<T>) -> Void) -> [T] {
    var result = [T](repeating: guardValue, count: count + 1)
    result.withUnsafeMutableBufferPointer { if let start = $0.baseAddress { body(start) } }
    return result
  }

  /// Numbers of very different sizes, zeros and negative zeros among them.
  private func wild(_ count: Int, _ random: inout SeededRandom) -> [Float] {
    (0..<count).map { _ in
      switch random.below(12) {
      case 0: 0
      case 1: -0.0
      case 2: random.float(1e-30)
      case 3: random.float(200)
      default: random.float(4)
      }
    }
  }

  @Test(arguments: vectorSets, DataType.allCases)
  func `products of 1 to 40 tokens and odd shapes`(set: InstructionSet, type: DataType) throws {
    var random = SeededRandom(7)
    let portable = CPUBackend(threads: 1, instructionSet: .scalar), fast = CPUBackend(threads: 1, instructionSet: set)
    let shapes: [Shape] = type.elementsPerBlock == 256 ? [[1, 256], [37, 512]]
      : (type.isQuantized ? [[1, 32], [16, 96], [37, 160]] : [[1, 1], [16, 33], [90, 50]])
    for shape in shapes {
      let stored = Tensor.random(shape, type: type, using: &random, backend: portable)
      let (slow, quick) = (try portable.prepare(stored), try fast.prepare(stored))
      for tokens in 1...40 {
        let x = wild(tokens * shape[1], &random)
        let expected = portable.products(Tensor(x, shape: [tokens, shape[1]], backend: portable), [slow])[0]
        let result = fast.products(Tensor(x, shape: [tokens, shape[1]], backend: fast), [quick])[0]
        #expect(sameBits(result.values, expected.values), "\(tokens) tokens, \(shape)")
      }
    }
  }

  /// The 16-bit codes of a tile: whole, or for each 32 of them a plane of high bytes and one of low bytes.
  private func numbers(_ codes: ArraySlice<Int8>, planes: Bool) -> [Int] {
    (0..<codes.count / 2).map { index in
      guard planes else { return Int(codes[2 * index + 1]) * 256 + Int(UInt8(bitPattern: codes[2 * index])) }
      let at = index / 32 * 64 + index % 32
      return Int(codes[at]) * 256 + Int(codes[at + 32])
    }
  }

  @Test(arguments: vectorSets) func `tiles of activations`(set: InstructionSet) throws {
    let fast = try kernels(set)
    var random = SeededRandom(8)
    for (tokens, width) in [(1, 1), (2, 2), (3, 4), (5, 8), (16, 16), (11, 16)] {
      let columns = 96, cells = columns / 32 * width
      let x = wild(tokens * columns, &random)
      let tile = { (kernels: mk_kernels, planes: Bool) -> ([Int], [Float], [Float]) in
        var cellFloats: [Float] = []
        let codes = output(2 * width * columns, Int8(99)) { codes in
          cellFloats = output(cells * 4, Float(99)) { floats in
            floats.withMemoryRebound(to: mk_cell.self, capacity: cells) { cells in
              kernels.quantize_tile(x, columns, Int32(tokens), Int32(width), codes, cells)
            }
          }
        }
        let values = output(width * columns, Float(99)) { values in
          kernels.transpose_tile(x, columns, Int32(tokens), Int32(width), values)
        }
        return (numbers(codes.prefix(2 * width * columns), planes: planes), cellFloats, values)
      }
      let (expected, result) = (tile(scalar, false), tile(fast, set == .avx512))
      #expect(result.0 == expected.0)
      #expect(sameBits(result.1, expected.1))
      #expect(sameBits(result.2, expected.2))
    }
  }

  @Test(arguments: vectorSets) func `norms, sums, factors and gates of any length`(set: InstructionSet) throws {
    let fast = try kernels(set)
    var random = SeededRandom(9)
    for count in [1, 15, 16, 17, 31, 64, 100, 257] {
      let x = wild(count, &random), y = wild(count, &random)
      func both(_ run: (mk_kernels, UnsafeMutablePointer<Float>) -> Void, _ what: String) {
        let expected = output(count, Float(99)) { run(scalar, $0) }, result = output(count, Float(99)) { run(fast, $0) }
        #expect(sameBits(result, expected), "\(what) of \(count)")
        #expect(result[count] == 99, "\(what) of \(count) writes past its end")
      }
      both({ $0.rms_norm(x, y, 1e-5, count, $1) }, "norm")
      both({ $0.add(x, y, count, $1) }, "sum")
      both({ $0.scale(x, 0.3, count, $1) }, "factor")
      both({ $0.layer_norm(x, y, x, 1e-5, count, $1) }, "layer norm")
      both({ $0.layer_norm(x, y, nil, 1e-5, count, $1) }, "layer norm without bias")
      for kind in [MK_SILU, MK_GELU_TANH, MK_GELU, MK_RELU, MK_TANH] {
        both({ $0.gate(kind, x, y, count, $1) }, "gate \(kind)")
        both({ $0.gate(kind, x, nil, count, $1) }, "activation \(kind)")
      }
      both({ kernels, out in
        var maximum: Float = 0
        out[0] = kernels.log_sum_exp(x, count, &maximum)
        if count > 1 { out[1] = maximum }
      }, "logarithm of a sum")
    }
  }

  @Test(arguments: vectorSets) func `rotations`(set: InstructionSet) throws {
    let fast = try kernels(set)
    var random = SeededRandom(10)
    for (width, rotated) in [(16, 16), (64, 64), (80, 32), (48, 2), (32, 0)] {
      let x = wild(width, &random), cosines = random.floats(rotated / 2), sines = random.floats(rotated / 2)
      for halves in [false, true] {
        let expected = output(width, Float(99)) { scalar.rotate(x, cosines, sines, width, rotated, halves, $0) }
        let result = output(width, Float(99)) { fast.rotate(x, cosines, sines, width, rotated, halves, $0) }
        #expect(sameBits(result, expected), "\(rotated) of \(width)")
      }
    }
  }

  @Test(arguments: vectorSets) func `softmax of a part, scaled, biased and capped`(set: InstructionSet) throws {
    let fast = try kernels(set)
    var random = SeededRandom(11)
    for (count, first, last) in [(1, 0, 1), (16, 0, 16), (17, 0, 17), (80, 3, 70), (64, 16, 48), (33, 32, 33), (48, 9, 9)] {
      let x = wild(count, &random), bias = wild(count, &random)
      for (cap, isBiased) in [(Float(0), false), (0, true), (3, false), (50, true)] {
        func weights(_ kernels: mk_kernels) -> [Float] {
          output(count, Float(99)) { scores in
            scores.update(from: x, count: count)
            kernels.softmax(scores, count, first, last, 0.3, isBiased ? bias : nil, cap)
          }
        }
        let result = weights(fast)
        #expect(sameBits(result, weights(scalar)), "\(first)..<\(last) of \(count), cap \(cap), biased: \(isBiased)")
        let isClear = result.indices.allSatisfy { first..<last ~= $0 || result[$0] == ($0 == count ? 99 : 0) }
        #expect(isClear, "\(first)..<\(last) of \(count)")
      }
    }
  }

  @Test(arguments: vectorSets, [16, 48, 64, 80, 256])
  func `scores and weighted values in memory`(set: InstructionSet, width: Int) throws {
    let fast = try kernels(set)
    var random = SeededRandom(12)
    let keys = 37, stride = 2 * width, sees = [(0, 37), (3, 20), (5, 5), (19, 37)]
    let weights = wild(4 * keys, &random), values = wild(keys * stride, &random)
    func sums(_ kernels: mk_kernels, _ rows: Range<Int>) -> ArraySlice<Float> {
      let result = output(rows.count * width, Float(99)) { start in
        weights.withUnsafeBufferPointer { weights in
          guard let first = weights.baseAddress else { return }
          kernels.dense_values(
            rows.map { first + $0 * keys }, Int32(rows.count), values, stride, rows.map { sees[$0].0 },
            rows.map { sees[$0].1 }, width, (0..<rows.count).map { start + $0 * width })
        }
      }
      #expect(result.last == 99)
      return result.dropLast()
    }
    for panels in [0, 1, 4, 9] {
      let queries = wild(4 * width, &random), keys = wild(panels * 16 * width, &random)
      func scores(_ kernels: mk_kernels, _ rows: Range<Int>) -> ArraySlice<Float> {
        let result = output(rows.count * panels * 16, Float(99)) { start in
          queries.withUnsafeBufferPointer { queries in
            guard let first = queries.baseAddress else { return }
            kernels.dense_scores(
              rows.map { first + $0 * width }, Int32(rows.count), keys, panels, width,
              (0..<rows.count).map { start + $0 * panels * 16 })
          }
        }
        #expect(result.last == 99)
        return result.dropLast()
      }
      for rows in [0..<1, 0..<2, 1..<4, 2..<4, 0..<4] {
        let alone = rows.flatMap { scores(scalar, $0..<$0 + 1) }
        #expect(sameBits(Array(scores(fast, rows)), alone), "\(rows), \(panels) panels")
      }
    }
    for rows in [0..<1, 0..<2, 0..<3, 1..<3, 2..<3, 1..<4, 0..<4] {
      #expect(sameBits(Array(sums(fast, rows)), rows.flatMap { sums(scalar, $0..<$0 + 1) }), "\(rows)")
    }
  }
}
