// Pages of codes and attention over them, kernel by kernel: what is stored, that nothing overflows, and that every
// instruction set gives the bits of the portable loops.
import CKernels
import Foundation
import Tensors
import TestSupport
import Testing

/// One head's part of a page, in memory of its own.
private final class CodePage {
  var codes: mk_page
  private let bytes: UnsafeMutableRawPointer
  private let count: Int
  private static let guardByte: UInt8 = 0x5a

  init(width: Int, type: CacheType) {
    let size = PageLayout(layers: 1, heads: 1, headWidth: width, type: type).bytesPerPage
    let codeBytes = 64 * width * (type == .i16 ? 2 : 1), factorBytes = type == .i16 ? 0 : 64 * ((width + 31) / 32) * 2
    count = size
    bytes = .allocate(byteCount: size + 64, alignment: 64)
    bytes.initializeMemory(as: UInt8.self, repeating: 0, count: size)
    (bytes + size).initializeMemory(as: UInt8.self, repeating: Self.guardByte, count: 64)
    let scales = bytes + 2 * codeBytes, factors = scales + 512
    codes = mk_page(
      keys: bytes, values: bytes + codeBytes, key_scales: scales.assumingMemoryBound(to: Float.self),
      value_scales: (scales + 256).assumingMemoryBound(to: Float.self),
      key_factors: type == .i16 ? nil : factors.assumingMemoryBound(to: UInt16.self),
      value_factors: type == .i16 ? nil : (factors + factorBytes).assumingMemoryBound(to: UInt16.self))
  }

  deinit { bytes.deallocate() }

  var contents: [UInt8] { Array(UnsafeRawBufferPointer(start: bytes, count: count)) }
  var isGuardIntact: Bool {
    UnsafeRawBufferPointer(start: bytes + count, count: 64).allSatisfy { $0 == Self.guardByte }
  }
}

@Suite struct `Attention's kernels` {
  private static let widths = [16, 32, 48, 64, 80, 128, 256]
  private let scalar: mk_kernels

  init() throws {
    scalar = try #require(mk_kernels_of(MK_SCALAR)).pointee
  }

  private func kernels(_ set: InstructionSet) throws -> mk_kernels { try #require(mk_kernels_of(set.code)).pointee }

  /// Vectors of very different sizes; in some one number stands out.
  private func vectors(_ count: Int, width: Int, _ random: inout SeededRandom) -> [[Float]] {
    (0..<count).map { index in
      var x = random.floats(width, spread: [1e-6, 0.1, 2, 300][index % 4])
      if index % 3 == 0 { x[random.below(width)] *= 50 }
      if index % 17 == 5 { x = [Float](repeating: 0, count: width) }
      return x
    }
  }

  private func page(_ keys: [[Float]], _ values: [[Float]], _ type: CacheType, _ kernels: mk_kernels) -> CodePage {
    let page = CodePage(width: keys[0].count, type: type)
    for slot in 0..<64 { kernels.store_token(&page.codes, Int32(slot), keys[0].count, keys[slot], values[slot]) }
    return page
  }

  @Test(arguments: instructionSets, widths)
  func `a page gives back what was stored`(set: InstructionSet, width: Int) throws {
    let kernels = try kernels(set)
    var random = SeededRandom(UInt64(width))
    let keys = vectors(64, width: width, &random), values = vectors(64, width: width, &random)
    for type in CacheType.allCases {
      let page = page(keys, values, type, kernels)
      #expect(page.contents == self.page(keys, values, type, scalar).contents)
      #expect(page.isGuardIntact)
      var key = [Float](repeating: 0, count: width), value = key
      for slot in 0..<64 {
        kernels.load_token(&page.codes, Int32(slot), width, &key, &value)
        let both = [(key, keys[slot], 32_639.0, 45_000), (value, values[slot], 10_160, .infinity)]
        for (found, wanted, peakCode, norm) in both {
          let peak = Double(wanted.reduce(0) { max($0, $1.magnitude) })
          let length = wanted.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
          let step = max(peak / peakCode, length / norm)  // between two codes
          for (column, number) in wanted.enumerated() {
            let cell = wanted[(column / 32 * 32)..<min(width, column / 32 * 32 + 32)]
            let cellPeak = Double(cell.reduce(0) { max($0, $1.magnitude) })
            let coarse = type == .i16 ? 0 : cellPeak / 127 + 1.01 * step  // between two codes of 8 bits
            #expect(abs(Double(found[column]) - Double(number)) <= 0.505 * (step + coarse), "slot \(slot)")
          }
        }
      }
    }
  }

  @Test(arguments: instructionSets, widths)
  func `8-bit codes expand to 16-bit codes`(set: InstructionSet, width: Int) throws {
    let kernels = try kernels(set)
    var random = SeededRandom(UInt64(width))
    let keys = vectors(64, width: width, &random), values = vectors(64, width: width, &random)
    let small = page(keys, values, .q8_0, kernels), whole = CodePage(width: width, type: .i16)
    kernels.expand_page(
      &small.codes, width, whole.codes.keys.assumingMemoryBound(to: Int16.self),
      whole.codes.values.assumingMemoryBound(to: Int16.self))
    whole.codes.key_scales = small.codes.key_scales
    whole.codes.value_scales = small.codes.value_scales
    #expect(whole.isGuardIntact)
    var expected = [Float](repeating: 0, count: 2 * width), found = expected
    for slot in 0..<64 {
      expected.withUnsafeMutableBufferPointer { both in
        guard let start = both.baseAddress else { return }
        kernels.load_token(&small.codes, Int32(slot), width, start, start + width)
      }
      found.withUnsafeMutableBufferPointer { both in
        guard let start = both.baseAddress else { return }
        kernels.load_token(&whole.codes, Int32(slot), width, start, start + width)
      }
      #expect(sameBits(found, expected), "slot \(slot)")
    }
  }

  /// Two pages seen by `ranges.count` queries, the second merged if `parted`; results, maxima and sums.
  private func attend(
    _ kernels: mk_kernels, _ pages: [CodePage], _ queries: [[Float]], _ ranges: [Range<Int>], parted: Bool,
    cap: Float
  ) -> [Float] {
    let width = queries[0].count, count = ranges.count
    var codes = [Int16](repeating: 0, count: count * width), weighted = [Float](repeating: 0, count: 2 * count * width)
    var result = [Float](repeating: 0, count: count * (width + 2))
    codes.withUnsafeMutableBufferPointer { codes in
      weighted.withUnsafeMutableBufferPointer { weighted in
        guard let codes = codes.baseAddress, let weighted = weighted.baseAddress else { return }
        func rows(_ part: Int) -> [mk_row] {
          (0..<count).map { row in
            let scale = kernels.encode_query(queries[row], width, 0.2, codes + row * width)
            return mk_row(
              query: codes + row * width, scale: scale, begin: Int32(ranges[row].lowerBound),
              end: Int32(ranges[row].upperBound), maximum: -.infinity, sum: 0,
              weighted: weighted + (part * count + row) * width)
          }
        }
        var whole = rows(0), later = rows(1)
        kernels.attend_page(&pages[0].codes, nil, 0, width, cap, &whole, Int32(count))
        if parted {
          kernels.attend_page(&pages[1].codes, nil, 64, width, cap, &later, Int32(count))
          kernels.merge_rows(&whole, later, Int32(count), width)
        } else {
          kernels.attend_page(&pages[1].codes, &pages[0].codes, 64, width, cap, &whole, Int32(count))
        }
        for row in 0..<count {
          kernels.finish_row(&whole[row], width, &result[row * (width + 2)])
          result[row * (width + 2) + width] = whole[row].maximum
          result[row * (width + 2) + width + 1] = whole[row].sum
        }
      }
    }
    return result
  }

  @Test(arguments: instructionSets, widths) func `attention over two pages`(set: InstructionSet, width: Int) throws {
    let fast = try kernels(set)
    var random = SeededRandom(UInt64(width))
    let keys = vectors(128, width: width, &random), values = vectors(128, width: width, &random)
    let pages = [0, 64].map { page(Array(keys[$0..<$0 + 64]), Array(values[$0..<$0 + 64]), .i16, scalar) }
    let queries = vectors(9, width: width, &random).map { $0.map { $0 / 100 } }
    let ranges = [0..<128, 3..<17, 20..<20, 63..<65, 0..<128, 64..<128, 0..<64, 100..<101, 5..<128]
    for (parted, cap) in [(false, Float(0)), (true, 0), (false, 50), (true, 0.5)] {
      func found(_ kernels: mk_kernels, _ rows: Range<Int>) -> [Float] {
        attend(kernels, pages, Array(queries[rows]), Array(ranges[rows]), parted: parted, cap: cap)
      }
      let alone = (0..<9).map { found(scalar, $0..<$0 + 1) }
      for count in 1...9 {
        let expected = alone[..<count].flatMap(\.self)
        #expect(sameBits(found(fast, 0..<count), expected), "\(count) rows, parted: \(parted), cap \(cap)")
      }
    }
  }
}
