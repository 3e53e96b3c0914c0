// What a corpus says about itself, written last and read first.
import Crypto
import Foundation
import JSON
import Tokenization

/// The manifest of a corpus. What is read from a file is checked against itself before it is believed.
struct CorpusManifest: Equatable {
  struct Source: Equatable {
    var path: String
    var byteCount: Int
    /// Nanoseconds since 1970; a file of the same size and time is not hashed again.
    var modified: Int
    var digest: String
  }

  static let name = "manifest.json"
  static let indexName = "index.bin"
  /// Bytes of a document's entry in the index: its beginning, its hash, its bytes of text.
  static let entrySize = 24
  private static let version = 1

  var fingerprint: String
  var sources: [Source]
  var vocabulary: Int
  var layout: ShardLayout
  var tokens: Int
  var documents: Int
  var bytes: Int
  var duplicates: Int
  var blanks: Int
  var skippedLines: Int
  var indexDigest: String

  var shardSizes: [Int] { layout.shardSizes(byteCount: tokens * layout.width) }
  var blockCount: Int { (tokens * layout.width + layout.blockSize - 1) / layout.blockSize }
  var indexSize: Int { documents * Self.entrySize + blockCount * 4 }

  /// What decides whether a corpus can be used again: texts, tokenizer and options.
  static func fingerprint(
    _ sources: [Source], tokenizer: String, _ options: CorpusOptions, boundary: (before: [Int32], after: [Int32])
  ) -> String {
    func ids(_ ids: [Int32]) -> JSONValue { .array(ids.map { .int(Int($0)) }) }
    let value: JSONValue = [
      "version": .int(version),
      "sources": .array(sources.map { [.string($0.path), .int($0.byteCount), .string($0.digest)] }),
      "tokenizer": .string(tokenizer),
      "text field": .string(options.textField),
      "separator": options.separator.map(JSONValue.string) ?? .null,
      "deduplicates": .bool(options.deduplicates),
      "skips bad": .bool(options.skipsBad),
      "before": ids(boundary.before),
      "after": ids(boundary.after),
      "sizes": [.int(options.pieceSize), .int(options.shardSize), .int(options.blockSize)],
    ]
    return sha256(Array(value.text().utf8))
  }

  var json: JSONValue {
    [
      "format": "malmoi-corpus", "version": .int(Self.version), "fingerprint": .string(fingerprint),
      "tokens": .int(tokens), "documents": .int(documents), "bytes": .int(bytes), "duplicates": .int(duplicates),
      "blanks": .int(blanks), "skipped_lines": .int(skippedLines), "vocabulary": .int(vocabulary),
      "token_bytes": .int(layout.width), "block_bytes": .int(layout.blockSize),
      "blocks_per_shard": .int(layout.blocksPerShard), "index_sha256": .string(indexDigest),
      "sources": .array(
        sources.map { source in
          [
            "path": .string(source.path), "bytes": .int(source.byteCount), "modified": .int(source.modified),
            "sha256": .string(source.digest),
          ]
        }),
    ]
  }

  /// - Throws: ``TrainingDataError`` that names the file and the field.
  init(path: String) throws(TrainingDataError) {
    let bytes: [UInt8]
    do { bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path))) } catch {
      throw TrainingDataError(path: path, message: "cannot be read: it is not there, or may not be read")
    }
    do { try self.init(JSONField(JSONValue(parsing: bytes))) } catch { throw error.located(path: path, line: nil) }
  }

  private init(_ field: JSONField) throws(JSONError) {
    guard try field.required("format").string() == "malmoi-corpus" else {
      throw try field.required("format").error("expected \"malmoi-corpus\"")
    }
    _ = try field.required("version").int(in: Self.version...Self.version)
    // Far beyond every disk, and far from where sums of them overflow.
    let counts = 0...(1 << 48)
    fingerprint = try field.required("fingerprint").string()
    tokens = try field.required("tokens").int(in: counts)
    documents = try field.required("documents").int(in: 0...max(0, tokens))
    bytes = try field.required("bytes").int(in: counts)
    duplicates = try field.required("duplicates").int(in: counts)
    blanks = try field.required("blanks").int(in: counts)
    skippedLines = try field.required("skipped_lines").int(in: counts)
    vocabulary = try field.required("vocabulary").int(in: 1...(1 << 31))
    let width = try field.required("token_bytes")
    let bytesPerToken = try width.int()
    guard bytesPerToken == 2 || bytesPerToken == 4 else { throw width.error("expected 2 or 4") }
    let block = try field.required("block_bytes")
    layout = ShardLayout(
      width: bytesPerToken, blockSize: try block.int(in: 4...(1 << 30)),
      blocksPerShard: try field.required("blocks_per_shard").int(in: 1...(1 << 20)))
    guard layout.blockSize % 4 == 0 else { throw block.error("expected a multiple of 4") }
    indexDigest = try field.required("index_sha256").string()
    sources = []
    for source in try field.required("sources").array() {
      sources.append(
        Source(
          path: try source.required("path").string(), byteCount: try source.required("bytes").int(in: counts),
          modified: try source.required("modified").int(), digest: try source.required("sha256").string()))
    }
  }

  init(
    fingerprint: String, sources: [Source], vocabulary: Int, layout: ShardLayout, tokens: Int, documents: Int,
    bytes: Int, duplicates: Int, blanks: Int, skippedLines: Int, indexDigest: String
  ) {
    self.fingerprint = fingerprint
    self.sources = sources
    self.vocabulary = vocabulary
    self.layout = layout
    self.tokens = tokens
    self.documents = documents
    self.bytes = bytes
    self.duplicates = duplicates
    self.blanks = blanks
    self.skippedLines = skippedLines
    self.indexDigest = indexDigest
  }
}

/// The SHA-256 in hexadecimal digits.
package func sha256(_ bytes: [UInt8]) -> String { SHA256.hash(data: bytes).hexadecimal }

extension Sequence<UInt8> {
  var hexadecimal: String {
    map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
  }
}

extension Tokenizer {
  /// A name for what this tokenizer does to texts: a hash of its vocabulary and of the tokens of all its spellings.
  package var fingerprint: String {
    var hasher = SHA256()
    var spellings: [UInt8] = []
    for id in 0..<Int32(clamping: vocabularyCount) {
      let piece = Array((piece(of: id) ?? "").utf8)
      withUnsafeBytes(of: UInt32(clamping: piece.count).littleEndian) { hasher.update(bufferPointer: $0) }
      hasher.update(data: piece + [kinds[Int(id)].rawValue])
      // In two ways, of which one makes words and the other runs of letters and marks.
      appendBytes(of: id, to: &spellings)
      if id % 2 == 0 { spellings.append(0x20) }
    }
    for token in encode(utf8: spellings) {
      withUnsafeBytes(of: token.littleEndian) { hasher.update(bufferPointer: $0) }
    }
    return hasher.finalize().hexadecimal
  }
}
