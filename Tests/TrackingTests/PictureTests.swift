// Pictures are read back, by a decoder of the tests' own and by Python's.
import Foundation
import TestSupport
import Testing
import Tracking

/// The pixels of a PNG file of a palette, one block of fixed codes, no filters.
private struct DecodedPicture {
  let width: Int
  let height: Int
  let colors: [[UInt8]]
  let pixels: [UInt8]

  init(_ file: [UInt8]) throws {
    try #require(file.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]))
    var rest = file.dropFirst(8), chunks: [String: [UInt8]] = [:], order: [String] = []
    func number(_ bytes: some Sequence<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }
    while !rest.isEmpty {
      let length = number(rest.prefix(4)), body = Array(rest.dropFirst(4).prefix(length + 4))
      try #require(body.count == length + 4)
      let name = String(decoding: body.prefix(4), as: UTF8.self)
      #expect(number(rest.dropFirst(8 + length).prefix(4)) == Int(CRC32.ieee(body)), "\(name)")
      chunks[name] = Array(body.dropFirst(4))
      order.append(name)
      rest = rest.dropFirst(12 + length)
    }
    #expect(order == ["IHDR", "PLTE", "IDAT", "IEND"])
    let header = try #require(chunks["IHDR"]), palette = try #require(chunks["PLTE"])
    width = number(header.prefix(4))
    height = number(header.dropFirst(4).prefix(4))
    #expect(Array(header.dropFirst(8)) == [8, 3, 0, 0, 0])
    colors = stride(from: 0, to: palette.count, by: 3).map { Array(palette[$0..<($0 + 3)]) }
    let data = try #require(chunks["IDAT"])
    #expect(number(data.prefix(2)) % 31 == 0)
    let rows = try Self.inflated(Array(data.dropFirst(2).dropLast(4)))
    #expect(number(data.suffix(4)) == Int(adler32(rows)))
    try #require(rows.count == (width + 1) * height)
    let width = width
    pixels = (0..<height).flatMap { rows[($0 * (width + 1) + 1)..<(($0 + 1) * (width + 1))] }
  }

  private static func inflated(_ data: [UInt8]) throws -> [UInt8] {
    var position = 0, output: [UInt8] = []
    func bit() throws -> Int {
      try #require(position < data.count * 8)
      defer { position += 1 }
      return Int(data[position / 8] >> UInt8(position % 8) & 1)
    }
    func bits(_ count: Int) throws -> Int { try (0..<count).reduce(0) { try $0 | bit() << $1 } }
    func code(_ count: Int) throws -> Int { try (0..<count).reduce(0) { code, _ in try code << 1 | bit() } }
    #expect(try bits(3) == 3)
    while true {
      var symbol = try code(7)
      if symbol < 24 {
        symbol += 256
      } else {
        symbol = try symbol << 1 | bit()
        symbol = symbol < 192 ? symbol - 48 : symbol < 200 ? symbol + 88 : try (symbol << 1 | bit()) - 256
      }
      if symbol == 256 { break }
      guard symbol > 256 else {
        output.append(UInt8(symbol))
        continue
      }
      // The tables of RFC 1951, section 3.2.5.
      let lengths = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227,
        258,
      ]
      let distances = [
        1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
      ]
      let length = symbol == 285 ? 258 : lengths[symbol - 257] + (try bits(max(0, (symbol - 261) / 4)))
      let slot = try code(5), distance = distances[slot] + (try bits(max(0, slot / 2 - 1)))
      try #require(distance <= output.count)
      for _ in 0..<length { output.append(output[output.count - distance]) }
    }
    return output
  }

  func color(_ x: Int, _ y: Int) -> [UInt8] { colors[Int(pixels[y * width + x])] }
}

@Suite struct PictureTests {
  private var noisy: CurvePlot {
    CurvePlot(
      title: "loss", curves: (0..<3).map { index in
        var generator = UInt64(index + 1)
        return Curve(
          name: "run \(index)",
          points: (0..<2000).map { step in
            generator = generator &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let noise = Double(generator >> 40) / Double(1 << 24) - 0.5
            return SIMD2(Double(step), Double(2 + index) + 8 * exp(-Double(step) / 200) + noise / 3)
          })
      }, isLogarithmic: true, smoothing: 0.9)
  }

  @Test func `A picture decodes to its size and colours, and is small`() throws {
    let file = noisy.png(), picture = try DecodedPicture(file)
    #expect(picture.width == 1200 && picture.height == 700)
    #expect(picture.colors.first == [255, 255, 255])
    #expect(picture.colors.contains([0x00, 0x72, 0xB2]) && picture.colors.contains([0xD5, 0x5E, 0x00]))
    #expect(file.count < 200_000)
  }

  @Test func `A curve is where its points are`() throws {
    // From the lower left corner of the frame to the upper right, then along the top.
    let points = [SIMD2(0.0, 0.0), SIMD2(50, 100), SIMD2(100, 100)]
    let picture = try DecodedPicture(CurvePlot(title: "", curves: [Curve(name: "", points: points)]).png())
    let blue: [UInt8] = [0x00, 0x72, 0xB2]
    let top = 70 + 24.0, bottom = 634.0, y = bottom - (bottom - top) * (1 + 0.04) / 1.08
    #expect(picture.color(1100, Int(y)) == blue)
    #expect(picture.color(1100, Int(y) + 6) == [255, 255, 255])
    let below = (0..<700).filter { $0 > 100 && picture.color(300, $0) == blue }
    #expect((1...6).contains(below.count))
  }

  @Test func `Pictures of every size decode`() throws {
    for (width, height) in [(400, 300), (401, 333), (2000, 1000), (1, 1), (.max, 400)] {
      let picture = try DecodedPicture(CurvePlot(title: "x", curves: [Curve(name: "말", points: [[0, 0], [1, 1]])])
        .png(width: width, height: height))
      #expect(picture.width == min(max(width, 400), 4000) && picture.height == min(max(height, 300), 4000))
    }
  }

  @Test(.enabled(if: Python.hasPillow, "needs a python3 with the pillow package; MALMOI_PYTHON may name one"))
  func `Python reads the same pixels`() throws {
    let folder = try TemporaryFolder(), file = noisy.png(), picture = try DecodedPicture(file)
    try folder.write(file, to: "loss.png")
    let output = try Python.run(
      """
      import sys, zlib
      from PIL import Image
      image = Image.open(sys.argv[1])
      print(image.size, image.mode, zlib.crc32(image.convert("RGB").tobytes()))
      """, folder.path("loss.png"))
    let sum = CRC32.ieee(picture.pixels.flatMap { picture.colors[Int($0)] })
    #expect(output == "(1200, 700) P \(sum)\n")
  }
}
