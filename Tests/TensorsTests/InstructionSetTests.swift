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
      for kind in [MK_SILU, MK_GELU_TANH, MK_GELU] { both({ $0.gate(kind, x, y, count, $1) }, "gate \(kind)") }
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

  @Test(arguments: instructionSets) func `conversions between f32 and f16`(set: InstructionSet) throws {
    let kernels = try kernels(set)
    // A signalling NaN becomes a quiet one in some processors: NaNs are only asked to stay NaNs.
    let halves = (0...UInt16.max).map(\.self), floats = halves.map(HalfPrecision.decode)
    let expanded = output(halves.count, Float(99)) { kernels.from_f16(halves, halves.count, $0) }
    #expect(zip(expanded, floats).allSatisfy { $0.bitPattern == $1.bitPattern || ($0.isNaN && $1.isNaN) })

    var random = SeededRandom(11)
    let near: [Float] = floats.filter { !$0.isNaN }.flatMap { [$0, $0.nextUp, $0.nextDown] }
    let any = (0..<20_000).map { _ in Float(bitPattern: UInt32(truncatingIfNeeded: random.next())) }
      .filter { !$0.isNaN }
    let middles = halves.dropLast().map { (HalfPrecision.decode($0) + HalfPrecision.decode($0 + 1)) / 2 }
    let values = near + any + middles.filter { !$0.isNaN } + [65_519, 65_520, -65_520, 1e9, .infinity, 2e-8, 3e-8, 4e-8]
    let rounded = output(values.count, UInt16(99)) { kernels.to_f16(values, values.count, $0) }
    #expect(Array(rounded.dropLast()) == values.map(HalfPrecision.encode))
  }

  @Test(arguments: vectorSets, [16, 32, 48, 64, 80, 128, 256])
  func `attention over a page`(set: InstructionSet, width: Int) throws {
    let fast = try kernels(set)
    var random = SeededRandom(UInt64(width))
    let keys = random.floats(64 * width, spread: 2).map(HalfPrecision.encode)
    let values = random.floats(64 * width, spread: 2).map(HalfPrecision.encode)
    let queries = random.floats(4 * width, spread: 2)
    let ranges: [(Int, Int)] = [(0, 64), (3, 17), (20, 20), (63, 64)]
    for count in 1...4 {
      let attend = { (kernels: mk_kernels) -> [Float] in
        output(4 * (width + 2), Float(0)) { states in
          for row in 0..<4 { states[row * (width + 2) + width] = -.infinity }
          queries.withUnsafeBufferPointer { queries in
            for _ in 0..<2 {  // the second page finds a state
              let rows = (0..<count).map { row in
                mk_row(
                  query: queries.baseAddress.map { $0 + row * width }, state: states + row * (width + 2),
                  first: Int32(ranges[row].0), last: Int32(ranges[row].1))
              }
              kernels.attend_page(keys, values, width, 0.2, rows, Int32(count))
            }
          }
          kernels.merge_states(states, states + (width + 2), width)
          kernels.merge_states(states, nil, width)
        }
      }
      #expect(sameBits(attend(fast), attend(scalar)), "\(count) rows")
    }
  }

  @Test(arguments: vectorSets, [16, 32, 48, 64, 80, 128, 256])
  func `8-bit pages`(set: InstructionSet, width: Int) throws {
    let fast = try kernels(set)
    var random = SeededRandom(UInt64(width))
    let scales = (width + 31) / 32, vectors = (0..<64).map { _ in wild(width, &random) }
    let pages = { (kernels: mk_kernels) -> ([UInt16], [UInt16], [Int8], [UInt16]) in
      var scaleBits: [UInt16] = [], halves: [UInt16] = [], valueHalves: [UInt16] = []
      let codes = output(2 * 64 * width, Int8(99)) { codes in
        scaleBits = output(2 * 64 * scales, UInt16(99)) { bits in
          for (slot, vector) in vectors.enumerated() {
            let block = slot / 16 * 16 * width + slot % 16
            kernels.store_codes(vector, width, codes + block, 16, bits + slot / 16 * 16 * scales + slot % 16, 16)
            kernels.store_codes(vector, width, codes + (64 + slot) * width, 1, bits + (64 + slot) * scales, 1)
          }
          halves = output(64 * width, UInt16(99)) { keys in
            valueHalves = output(64 * width, UInt16(99)) { values in
              kernels.expand_page(codes, bits, codes + 64 * width, bits + 64 * scales, width, keys, values)
            }
          }
        }
      }
      return (halves, valueHalves, codes, scaleBits)
    }
    let (result, expected) = (pages(fast), pages(scalar))
    #expect(result == expected)
    // Nothing was left out, nothing written past the end, and the numbers are those that were put in.
    #expect(result.2.last == 99 && result.3.last == 99 && result.0.last == 99 && result.1.last == 99)
    for (slot, vector) in vectors.enumerated() {
      for column in 0..<width {
        let group = vector[(column / 32 * 32)..<min(width, column / 32 * 32 + 32)]
        let step = group.reduce(0) { max($0, $1.magnitude) } / 127
        let value = HalfPrecision.decode(result.1[slot * width + column])
        #expect(abs(value - vector[column]) <= step * 0.6 + 1e-6)
        #expect(result.0[(slot / 16 * width + column) * 16 + slot % 16] == result.1[slot * width + column])
      }
    }
  }
}
