// Tokens on their way to the disk: in shards, with a checksum for each block.
import CZlib
import Foundation

/// Writes a stream of tokens into shard after shard, and can take the end of it back.
final class ShardWriter {
  private let folder: String
  private let layout: ShardLayout
  /// The bytes of the block that is not complete.
  private var block: [UInt8] = []
  private(set) var checksums: [UInt32] = []
  private var open: (shard: Int, descriptor: Int32)?

  init(folder: String, layout: ShardLayout) {
    self.folder = folder
    self.layout = layout
  }

  deinit { if let open { close(open.descriptor) } }

  /// The tokens so far.
  var count: Int { (checksums.count * layout.blockSize + block.count) / layout.width }

  func append(_ tokens: [Int32]) throws(TrainingDataError) {
    for token in tokens {
      if layout.width == 2 {
        withUnsafeBytes(of: UInt16(truncatingIfNeeded: token).littleEndian) { block.append(contentsOf: $0) }
      } else {
        withUnsafeBytes(of: token.littleEndian) { block.append(contentsOf: $0) }
      }
      if block.count == layout.blockSize { try flush() }
    }
  }

  /// Takes back everything after the first `count` tokens.
  func truncate(to count: Int) throws(TrainingDataError) {
    let end = count * layout.width, full = end / layout.blockSize
    if full < checksums.count {
      let (descriptor, offset) = try place(ofBlock: full)
      block = Array(repeating: 0, count: layout.blockSize)
      let got = block.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, off_t(offset)) }
      guard got == layout.blockSize else { throw .system(folder, "the shards cannot be read again", code: errno) }
      checksums.removeSubrange(full...)
    }
    block.removeSubrange((end - full * layout.blockSize)...)
  }

  /// Brings everything to the disk.
  /// - Returns: the sizes of the shards in bytes.
  func finish() throws(TrainingDataError) -> [Int] {
    let byteCount = count * layout.width
    if !block.isEmpty { try flush() }
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
    while done < block.count {
      let wrote = block.withUnsafeBytes { pwrite(descriptor, $0.baseAddress.map { $0 + done }, $0.count - done, off_t(offset + done)) }
      if wrote < 0, errno == EINTR { continue }
      guard wrote > 0 else { throw .system(folder, "a shard cannot be written", code: errno) }
      done += wrote
    }
    checksums.append(checksum(of: block))
    block.removeAll(keepingCapacity: true)
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
package func checksum(of bytes: [UInt8]) -> UInt32 {
  bytes.withUnsafeBufferPointer { UInt32(truncatingIfNeeded: crc32(0, $0.baseAddress, UInt32($0.count))) }
}
