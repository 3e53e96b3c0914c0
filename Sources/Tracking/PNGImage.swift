// Pixels to a PNG file (W3C, third edition) of up to 256 colours, which is plenty for a few curves on white.

/// An image of 8-bit red, green and blue.
struct PNGImage {
  let width: Int
  let height: Int
  /// Three bytes per pixel, row after row.
  var pixels: [UInt8]

  func encoded() -> [UInt8] {
    let (palette, indices) = reduced()
    var rows: [UInt8] = []
    rows.reserveCapacity((width + 1) * height)
    for start in stride(from: 0, to: indices.count, by: width) {
      rows.append(0)  // pixels as they are
      rows += indices[start..<(start + width)]
    }
    var file: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
    file += Self.chunk("IHDR", Self.bigEndian(UInt32(width)) + Self.bigEndian(UInt32(height)) + [8, 3, 0, 0, 0])
    file += Self.chunk("PLTE", palette)
    // A zlib stream (RFC 1950) with a window of 32 KB.
    let data = RowDeflater.compressed(rows, rowLength: width + 1)
    file += Self.chunk("IDAT", [0x78, 0x01] + data + Self.bigEndian(adler32(rows)))
    return file + Self.chunk("IEND", [])
  }

  /// The 256 most frequent colours, and for every pixel the nearest of them.
  private func reduced() -> (palette: [UInt8], indices: [UInt8]) {
    func color(_ pixel: Int) -> UInt32 {
      UInt32(pixels[pixel * 3]) << 16 | UInt32(pixels[pixel * 3 + 1]) << 8 | UInt32(pixels[pixel * 3 + 2])
    }
    var counts: [UInt32: Int] = [:]
    for pixel in 0..<(width * height) { counts[color(pixel), default: 0] += 1 }
    let frequent = counts.sorted { ($0.value, $1.key) > ($1.value, $0.key) }.map(\.key)
    let palette = Array(frequent.prefix(256))
    func distance(_ a: UInt32, _ b: UInt32) -> Int {
      [16, 8, 0].reduce(0) { sum, shift in
        let difference = Int(a >> UInt32(shift) & 255) - Int(b >> UInt32(shift) & 255)
        return sum + difference * difference
      }
    }
    let places = Dictionary(
      uniqueKeysWithValues: frequent.enumerated().map { rank, color in
        let nearest = rank < 256
          ? rank : palette.indices.min { distance(palette[$0], color) < distance(palette[$1], color) } ?? 0
        return (color, UInt8(nearest))
      })
    return (
      palette.flatMap { [UInt8($0 >> 16), UInt8($0 >> 8 & 255), UInt8($0 & 255)] },
      (0..<(width * height)).map { places[color($0)] ?? 0 }
    )
  }

  private static func chunk(_ type: String, _ data: [UInt8]) -> [UInt8] {
    let body = Array(type.utf8) + data
    return bigEndian(UInt32(data.count)) + body + bigEndian(CRC32.ieee(body))
  }

  private static func bigEndian(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
}

/// Deflate (RFC 1951) in one block of fixed codes, whose matches repeat the pixel to the left or the row above.
struct RowDeflater {
  private var bytes: [UInt8] = []
  private var pending: UInt32 = 0
  private var pendingCount: UInt32 = 0

  /// - Parameter rowLength: less than 32,768.
  static func compressed(_ data: [UInt8], rowLength: Int) -> [UInt8] {
    var deflater = RowDeflater()
    deflater.bits(0b011, 3)  // the last block, fixed codes
    var position = 0
    while position < data.count {
      func repeats(_ distance: Int) -> Int {
        guard position >= distance else { return 0 }
        let end = min(data.count, position + 258)
        return (position..<end).first { data[$0] != data[$0 - distance] }.map { $0 - position } ?? end - position
      }
      let left = repeats(1), above = repeats(rowLength)
      if max(left, above) >= 3 {
        deflater.repetition(max(left, above), distance: left >= above ? 1 : rowLength)
        position += max(left, above)
      } else {
        deflater.symbol(UInt32(data[position]))
        position += 1
      }
    }
    deflater.symbol(256)
    deflater.bits(0, 7)
    return deflater.bytes
  }

  private mutating func bits(_ value: UInt32, _ count: UInt32) {
    pending |= value << pendingCount
    pendingCount += count
    while pendingCount >= 8 {
      bytes.append(UInt8(truncatingIfNeeded: pending))
      pending >>= 8
      pendingCount -= 8
    }
  }

  /// A code word, which goes out from its most significant bit.
  private mutating func word(_ code: UInt32, _ count: UInt32) {
    for bit in (0..<count).reversed() { bits(code >> bit & 1, 1) }
  }

  private mutating func symbol(_ symbol: UInt32) {
    switch symbol {
    case ..<144: word(0x30 + symbol, 8)
    case ..<256: word(0x190 + symbol - 144, 9)
    case ..<280: word(symbol - 256, 7)
    default: word(0xC0 + symbol - 280, 8)
    }
  }

  /// Bytes from `distance` before, 3 to 258 of them.
  private mutating func repetition(_ length: Int, distance: Int) {
    let excess = UInt32(length - 3), back = UInt32(distance - 1)
    if length == 258 {
      symbol(285)
    } else if excess < 8 {
      symbol(257 + excess)
    } else {
      let extra = UInt32(29 - excess.leadingZeroBitCount)
      symbol(261 + 4 * extra + (excess >> extra & 3))
      bits(excess & ((1 << extra) - 1), extra)
    }
    if back < 4 {
      word(back, 5)
    } else {
      let extra = UInt32(30 - back.leadingZeroBitCount)
      word(2 + 2 * extra + (back >> extra & 1), 5)
      bits(back & ((1 << extra) - 1), extra)
    }
  }
}
