// Tokens on their way to the disk: in shards, with a checksum for each block.
import CZlib
import Foundation

/// Writes a stream of tokens into shard after shard, and can take the end of it back.
final class ShardWriter {
  private let folder: String
  private let layout: ShardLayout
  /// The block that is not complete, and how much of it there is.
  private var block: [UInt8]
  private var filled = 0
  private(set) var checksums: [UInt32] = []
  private var open: (shard: Int, descriptor: Int32)?

  init(folder: String, layout: ShardLayout) {
    self.folder = folder
    self.layout = layout
    block = Array(repeating: 0, count: layout.blockSize)
  }

  deinit { if let open { close(open.descriptor) } }

  /// The tokens so far.
  var count: Int { (checksums.count * layout.blockSize + filled) / layout.width }

  func append(_ tokens: [Int32]) throws(TrainingDataError) {
    var rest = tokens[...]
    while !rest.isEmpty {
      let part = rest.prefix((layout.blockSize - filled) / layout.width)
      block.withUnsafeMutableBytes { block in
        for (number, token) in part.enumerated() {
          let offset = filled + number * layout.width
          if layout.width == 2 {
            block.storeBytes(of: UInt16(truncatingIfNeeded: token).littleEndian, toByteOffset: offset, as: UInt16.self)
          } else {
            block.storeBytes(of: token.littleEndian, toByteOffset: offset, as: Int32.self)
          }
        }
      }
      filled += part.count * layout.width
      rest = rest.dropFirst(part.count)
      if filled == layout.blockSize { try flush() }
    }
  }

  /// Takes back everything after the first `count` tokens.
  func truncate(to count: Int) throws(TrainingDataError) {
    let end = count * layout.width, full = end / layout.blockSize
    if full < checksums.count {
      let (descriptor, offset) = try place(ofBlock: full)
      let got = block.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, off_t(offset)) }
      guard got == layout.blockSize else { throw .system(folder, "the shards cannot be read again", code: errno) }
      checksums.removeSubrange(full...)
    }
    filled = end - full * layout.blockSize
  }

  /// Brings everything to the disk.
  /// - Returns: the sizes of the shards in bytes.
  func finish() throws(TrainingDataError) -> [Int] {
    let byteCount = count * layout.width
    if filled > 0 { try flush() }
    try closeShard()
    let sizes = layout.shardSizes(byteCount: byteCount)
    for (shard, size) in sizes.enumerated() where Foundation.truncate(path(ofShard: shard), off_t(size)) != 0 {
      throw .system(path(ofShard: shard), "cannot be written", code: errno)
    }
    // What was taken back may have been all of a shard.
    var shard = sizes.count
    while unlink(path(ofShard: shard)) == 0 { shard += 1 }
    return sizes
  }

  private func path(ofShard shard: Int) -> String { folder + "/" + ShardLayout.name(ofShard: shard) }

  private func flush() throws(TrainingDataError) {
    let (descriptor, offset) = try place(ofBlock: checksums.count)
    var done = 0
    while done < filled {
      let wrote = block.withUnsafeBytes { block in
        pwrite(descriptor, block.baseAddress.map { $0 + done }, filled - done, off_t(offset + done))
      }
      if wrote < 0, errno == EINTR { continue }
      guard wrote > 0 else { throw .system(folder, "a shard cannot be written", code: errno) }
      done += wrote
    }
    checksums.append(checksum(of: block[..<filled]))
    filled = 0
  }

  private func place(ofBlock number: Int) throws(TrainingDataError) -> (descriptor: Int32, offset: Int) {
    let (shard, place) = number.quotientAndRemainder(dividingBy: layout.blocksPerShard)
    if open?.shard != shard {
      try closeShard()
      let descriptor = Foundation.open(path(ofShard: shard), O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
      guard descriptor >= 0 else { throw .system(path(ofShard: shard), "cannot be written", code: errno) }
      open = (shard, descriptor)
    }
    return (open?.descriptor ?? -1, place * layout.blockSize)
  }

  private func closeShard() throws(TrainingDataError) {
    guard let (shard, descriptor) = open else { return }
    open = nil
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw .system(path(ofShard: shard), "cannot be written", code: errno) }
  }
}

/// How tokens lie in shards.
struct ShardLayout: Equatable {
  /// Bytes of a token: 2 or 4, little endian.
  var width: Int
  /// Bytes that a checksum covers.
  var blockSize: Int
  var blocksPerShard: Int

  init(width: Int, blockSize: Int, blocksPerShard: Int) {
    self.width = width
    self.blockSize = blockSize
    self.blocksPerShard = blocksPerShard
  }

  init(vocabulary: Int, options: CorpusOptions) {
    width = vocabulary <= 1 << 16 ? 2 : 4
    blockSize = options.blockSize
    blocksPerShard = max(1, options.shardSize * width / blockSize)
  }

  static func name(ofShard shard: Int) -> String {
    let digits = String(shard)
    return "tokens-" + String(repeating: "0", count: max(0, 5 - digits.count)) + digits + ".bin"
  }

  var shardSize: Int { blockSize * blocksPerShard }

  func shardSizes(byteCount: Int) -> [Int] {
    stride(from: 0, to: byteCount, by: shardSize).map { min(shardSize, byteCount - $0) }
  }
}

/// The CRC-32 of zlib.
package func checksum(of bytes: ArraySlice<UInt8>) -> UInt32 {
  bytes.withUnsafeBufferPointer { UInt32(truncatingIfNeeded: crc32(0, $0.baseAddress, UInt32($0.count))) }
}
