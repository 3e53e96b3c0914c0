// Products and rows of every weight format against plain double precision.
import CKernels
import Tensors
import TestSupport
import Testing

@Suite struct `Products with weights` {
  private let backend = CPUBackend(threads: 2)

  private func shape(_ type: DataType) -> Shape {
    type.elementsPerBlock == 256 ? [37, 512] : (type.isQuantized ? [37, 416] : [37, 77])
  }

  /// The share of Σ |x| × the largest weight that float summation may lose: about the number of roundings × 2⁻²⁴.
  private let summationBound = 4e-6

  @Test(arguments: DataType.allCases)
  func `agree with exact sums over equally rounded activations`(type: DataType) throws {
    var random = SeededRandom(UInt64(type.rawValue))
    let shape = shape(type), columns = shape[1]
    let stored = Tensor.random(shape, type: type, using: &random, backend: backend)
    let weight = type.values(of: stored), prepared = try backend.prepare(stored)
    let largest = Double(weight.reduce(0) { max($0, $1.magnitude) })
    for tokens in [1, 3, 18] {
      let x = Tensor(random: [tokens, columns], spread: 3, &random, backend)
      let seen = type.isQuantized ? roundedTo16Bits(x.values) : x.values.map(Double.init)
      let result = backend.products(x, [prepared])[0].values, expected = product(seen, weight, columns: columns)
      for (index, (value, wanted)) in zip(result, expected).enumerated() {
        let token = index / shape[0]
        let sum = seen[token * columns..<(token + 1) * columns].reduce(0) { $0 + abs($1) }
        #expect(abs(Double(value) - wanted) <= summationBound * largest * sum)
      }
    }
  }

  @Test(arguments: DataType.allCases)
  func `lose less than their bound to the rounding of activations`(type: DataType) throws {
    // Relative error in the root mean square. 16-bit codes are off by up to 1/65,278 of the largest of 32; with weights
    // and activations spread evenly that is about 1.6e-5. Float formats round nothing.
    let bound = type.isQuantized ? 3e-5 : 1e-6
    var random = SeededRandom(UInt64(type.rawValue) + 50)
    let shape = shape(type)
    let stored = Tensor.random(shape, type: type, using: &random, backend: backend)
    let x = Tensor(random: [17, shape[1]], spread: 3, &random, backend)
    let result = backend.products(x, [try backend.prepare(stored)])[0].values
    let expected = product(x.values.map(Double.init), type.values(of: stored), columns: shape[1])
    #expect(difference(result, expected).relative < bound)
  }

  @Test(arguments: DataType.allCases, [1, 5, 16])
  func `panels hold exactly the numbers of the rows they were packed from`(type: DataType, rows: Int) throws {
    var random = SeededRandom(UInt64(rows))
    let columns = shape(type)[1]
    let stored = Tensor.random([rows, columns], type: type, using: &random, backend: backend)
    let panel = Storage(byteCount: mk_panel_bytes(type.code, columns))
    mk_pack_panel(
      type.code, stored.storage.bytes.baseAddress, stored.storage.bytes.count / rows, Int32(rows), columns,
      panel.bytes.baseAddress)
    let expected = type.values(of: stored)
    for lane in 0..<16 {
      var row = [Float](repeating: 99, count: columns)
      mk_unpack_row(type.code, panel.bytes.baseAddress, Int32(lane), columns, &row)
      if lane < rows {
        #expect(sameBits(row, Array(expected[lane * columns..<(lane + 1) * columns])))
      } else {
        // Lanes without a row multiply to zero: all their scales are.
        #expect(row.allSatisfy { $0 == 0 })
      }
    }
  }

  @Test(arguments: DataType.allCases) func `rows are read from files and from panels alike`(type: DataType) throws {
    var random = SeededRandom(3)
    let shape = shape(type), columns = shape[1]
    let stored = Tensor.random(shape, type: type, using: &random, backend: backend)
    let all = type.values(of: stored), indices: [Int32] = [36, 0, 15, 16, 16, 31, 32]
    let expected = indices.flatMap { all[Int($0) * columns..<(Int($0) + 1) * columns] }
    #expect(sameBits(stored.rows(at: indices).values, expected))
    #expect(try sameBits(backend.prepare(stored).rows(at: indices).values, expected))
    #expect(sameBits(backend.floats(stored).values, all))
    #expect(sameBits(backend.floats(try backend.prepare(stored)).values, all))
  }

  @Test func `several weights of different formats are one op`() throws {
    var random = SeededRandom(4)
    let x = Tensor(random: [21, 256], &random, backend)
    let weights = try [(DataType.q4_k, 5), (.f32, 100), (.q8_0, 16), (.bf16, 1), (.q6_k, 333)].map { type, rows in
      try backend.prepare(Tensor.random([rows, 256], type: type, using: &random, backend: backend))
    }
    for (together, weight) in zip(backend.products(x, weights), weights) {
      #expect(together.shape == [21, weight.shape[0]])
      #expect(sameBits(together.values, backend.products(x, [weight])[0].values))
    }
  }

  @Test(arguments: DataType.allCases) func `no token changes another token's result`(type: DataType) throws {
    var random = SeededRandom(5)
    let shape = shape(type)
    let weight = try backend.prepare(Tensor.random(shape, type: type, using: &random, backend: backend))
    let x = Tensor(random: [40, shape[1]], &random, backend), together = backend.products(x, [weight])[0]
    for token in [0, 7, 15, 16, 33, 39] {
      let alone = Tensor(x.part(token..<token + 1), shape: [1, shape[1]], backend: backend)
      #expect(sameBits(backend.products(alone, [weight])[0].values, together.part(token..<token + 1)))
    }
  }

  @Test(arguments: DataType.allCases) func `the number of threads changes nothing`(type: DataType) throws {
    var random = SeededRandom(6)
    let columns = shape(type)[1], alone = CPUBackend(threads: 1)
    let stored = Tensor.random([500, columns], type: type, using: &random, backend: alone)
    let weight = try alone.prepare(stored)
    for tokens in [1, 2, 40] {
      let x = Tensor(random: [tokens, columns], &random, alone), expected = alone.products(x, [weight])[0].values
      for threads in 2...4 {
        let many = CPUBackend(threads: threads)
        #expect(sameBits(many.products(x, [try many.prepare(stored)])[0].values, expected))
      }
    }
  }

  @Test func `activations too small for a scale count as zero`() throws {
    var random = SeededRandom(7)
    for type in DataType.allCases where type.isQuantized {
      let columns = shape(type)[1]
      let weight = try backend.prepare(Tensor.random([16, columns], type: type, using: &random, backend: backend))
      let x = Tensor(random: [2, columns], spread: 1e-38, &random, backend)
      #expect(backend.products(x, [weight])[0].values.allSatisfy { abs($0) < 1e-30 }, "\(type)")
    }
  }

  @Test func `no tokens give no results`() throws {
    var random = SeededRandom(8)
    let weight = try backend.prepare(Tensor.random([20, 64], type: .q8_0, using: &random, backend: backend))
    #expect(backend.products(Tensor([], shape: [0, 64], backend: backend), [weight])[0].values.isEmpty)
  }
}
