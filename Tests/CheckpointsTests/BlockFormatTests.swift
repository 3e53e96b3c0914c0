// Holds the readable block formats against gguf-py, whose outputs Fixtures/block_formats.py stored.
import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct BlockFormatTests {
  struct Record {
    let name: String
    let stored: [UInt8]
    let values: [Float]
  }

  /// The records of block-formats.bin; its layout is told in block_formats.py.
  static func records() throws -> [String: Record] {
    var rest = ArraySlice(try fixture("block-formats.bin"))
    func take(_ count: Int) throws -> [UInt8] {
      try #require(rest.count >= count)
      defer { rest = rest.dropFirst(count) }
      return Array(rest.prefix(count))
    }
    func count() throws -> Int { Int(try take(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }) }
    var records: [String: Record] = [:]
    while !rest.isEmpty {
      let name = String(decoding: try take(Int(try take(1)[0])), as: UTF8.self)
      let stored = try take(try count())
      let values = try take(4 * (try count())).withUnsafeBytes { bytes in
        stride(from: 0, to: bytes.count, by: 4).map { bytes.loadUnaligned(fromByteOffset: $0, as: Float.self) }
      }
      records[name] = Record(name: name, stored: stored, values: values)
    }
    return records
  }

  /// Bits, with every NaN the same: which NaN comes out of arithmetic on one is the processor's choice.
  static func bits(_ values: [Float]) -> [UInt32] { values.map { $0.isNaN ? 0x7FC0_0000 : $0.bitPattern } }

  @Test("Every format expands to the floats of the reference", arguments: DataType.allCases)
  func dequantizes(type: DataType) throws {
    let record = try #require(try Self.records()[type.name])
    let values = try #require(record.stored.withUnsafeBytes { type.dequantized($0) })
    #expect(Self.bits(values) == Self.bits(record.values))
  }

  @Test("Blocks may begin at any address", arguments: DataType.allCases)
  func dequantizesUnaligned(type: DataType) throws {
    let record = try #require(try Self.records()[type.name])
    let values = ([0] + record.stored).withUnsafeBytes { type.dequantized(UnsafeRawBufferPointer(rebasing: $0[1...])) }
    #expect(Self.bits(try #require(values)) == Self.bits(record.values))
  }

  @Test("Part of a block expands to nothing", arguments: DataType.allCases)
  func refusesPartialBlocks(type: DataType) {
    let bytes = [UInt8](repeating: 0, count: type.bytesPerBlock * 3 - 1)
    #expect(bytes.withUnsafeBytes { type.dequantized($0) } == nil)
  }

  @Test("Plain numbers are rounded to the bytes of the reference", arguments: [DataType.f32, .f16, .bf16])
  func quantizes(type: DataType) throws {
    let record = try #require(try Self.records()["quantize " + type.name])
    #expect(type.quantized(record.values) == record.stored)
  }

  #if !(os(macOS) && arch(x86_64))
  @Test("Half precision agrees with the processor's on every bit pattern and on every boundary between two of them")
  func halfPrecision() {
    for bits in UInt16.min...UInt16.max {
      let half = Float16(bitPattern: bits)
      let value = HalfPrecision.decode(bits)
      #expect(half.isNaN ? value.isNaN : value.bitPattern == Float(half).bitPattern)
      guard half.isFinite else { continue }
      // Halfway to the next number, and a hair to either side of it.
      let middle = (value + HalfPrecision.decode(bits + 1 & 0x7FFF | bits & 0x8000)) / 2
      for probe in [value, middle, middle.nextUp, middle.nextDown] where !probe.isNaN {
        #expect(HalfPrecision.encode(probe) == Float16(probe).bitPattern)
      }
    }
    #expect(HalfPrecision.decode(HalfPrecision.encode(.nan)).isNaN)
    #expect(HalfPrecision.encode(65_520) == 0x7C00 && HalfPrecision.encode(65_519) == 0x7BFF)
  }
  #endif
}
