// Thousands of damaged files: each is read or refused with an error, and none ends the process.
import Checkpoints
import Foundation
import Testing
import TestSupport

@Suite struct GGUFMutationTests {
  /// Numbers at which readers of lengths, counts and offsets break.
  static let edges: [UInt64] = [
    0, 1, 2, 3, 9, 12, 31, 32, 64, 255, 256, 1 << 16, 1 << 31, 1 << 32, 1 << 62, 1 << 63, .max - 31, .max,
  ]

  static func damage(_ bytes: [UInt8], using random: inout SeededGenerator) -> [UInt8] {
    var damaged = bytes
    for _ in 0...Int.random(in: 0..<3, using: &random) {
      guard !damaged.isEmpty else { return damaged }
      let place = Int.random(in: damaged.indices, using: &random)
      switch Int.random(in: 0..<6, using: &random) {
      case 0: damaged[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 1: damaged[place] = .random(in: 0 ... .max, using: &random)
      case 2: damaged.removeLast(damaged.count - place)
      case 3: damaged.remove(at: place)
      case 4: damaged.insert(.random(in: 0 ... .max, using: &random), at: place)
      default:
        // Lengths and counts are 4 or 8 bytes wide.
        let width = Bool.random(using: &random) ? 4 : 8
        let edge = edges.randomElement(using: &random) ?? 0
        for (index, byte) in RawGGUF.number(edge).prefix(width).enumerated() where place + index < damaged.count {
          damaged[place + index] = byte
        }
      }
    }
    return damaged
  }

  /// Everything that a program does with a file that was accepted.
  static func use(_ file: GGUFFile) -> Int {
    var sum = 0
    for key in file.metadata.keys {
      guard let array = file.metadata[key]?.array else { continue }
      sum &+= (array.integers?.count ?? 0) + (array.floats?.count ?? 0) + (array.strings?.count ?? 0)
    }
    for tensor in file.tensors {
      sum &+= tensor.bytes.reduce(0) { $0 &+ Int($1) }
      sum &+= tensor.rowCount
    }
    return sum &+ CheckpointSummary(file).parameterCount
  }

  @Test("Damaged files are read or refused, and never end the process", arguments: 0..<4)
  func survives(seed: Int) throws {
    let seeds = [Array(try fixture("gguf-py-made.bin")), RawGGUF.valid().bytes]
    var random = SeededGenerator(state: UInt64(seed))
    var (accepted, refused) = (0, 0)
    for index in 0..<4_000 {
      let bytes = Self.damage(seeds[index % seeds.count], using: &random)
      do throws(CheckpointError) {
        _ = Self.use(try GGUFFile(data: bytes, name: "damaged.gguf"))
        accepted += 1
      } catch {
        #expect(!error.description.contains("\n"), "an error is one line")
        refused += 1
      }
    }
    #expect(accepted > 100 && refused > 1_000, "the damage reaches both ends: \(accepted) accepted, \(refused) refused")
  }
}
