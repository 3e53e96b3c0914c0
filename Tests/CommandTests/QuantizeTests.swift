// `malmoi quantize` as its users meet it.
import Checkpoints
import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct QuantizeCommandTests {
  private let folder: TemporaryFolder
  private let command: Executable
  private let model: String

  init() throws {
    folder = try TemporaryFolder()
    command = Executable(home: folder.url)
    model = folder.path("tiny.gguf")
    try TinyModel.write(to: folder.url.appendingPathComponent("tiny.gguf"), dataType: .f32, contextLength: 1024)
  }

  private func text(_ name: String, words: Int) throws -> String {
    let vocabulary = ["the", "then", "a", "bath", "in", "thin", "breath", "anthem", "other", "pine"]
    let words = (0..<words).map { vocabulary[$0 * $0 % 97 % vocabulary.count] }
    return try folder.write(Data(words.joined(separator: " ").utf8), to: name).path
  }

  private var made: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: folder.url.path).filter { $0.contains("out") } }
  }

  @Test func `a model is quantized, and the report tells what that cost`() throws {
    let out = folder.path("out.gguf"), text = try text("text.txt", words: 1200)
    let result = try command.run(["quantize", model, out, "--type", "Q4_K_M", "--evaluate", text, "--json"])
    #expect(result.status == 0, "\(result.errors)")
    let report = try #require(try JSONSerialization.jsonObject(with: result.output) as? [String: Any])
    #expect(report["type"] as? String == "q4_k_m" && report["isCalibrated"] as? Bool == false)
    let bits = try #require(report["bitsPerWeight"] as? Double)
    #expect(bits > 5 && bits < 9)
    let divergence = try #require(report["divergence"] as? [String: Double])
    let mean = try #require(divergence["mean"]), agreement = try #require(divergence["agreement"])
    #expect(mean > 0 && agreement > 0.5)
    #expect((report["fallbacks"] as? [[String: Any]])?.first?["given"] as? String == "Q5_0")
    let answer = try command.run(["run", out, "the", "-n", "5", "--temperature", "0"])
    #expect(answer.status == 0 && !answer.output.isEmpty, "\(answer.errors)")
  }

  @Test func `the table for people has formats, sizes and losses`() throws {
    let result = try command.run(["quantize", model, folder.path("out.gguf"), "--type", "q8_0"])
    let table = String(decoding: result.output, as: UTF8.self)
    #expect(result.status == 0, "\(result.errors)")
    for words in ["Q8_0", "bits per weight", "perplexity", "divergence   mean", "% of first choices"] {
      #expect(table.contains(words), "\(table)")
    }
    #expect(result.complaints.isEmpty)
  }

  @Test func `calibration is kept, and used again gives the same file`() throws {
    let text = try text("text.txt", words: 3000), first = folder.path("out-1.gguf"), second = folder.path("out-2.gguf")
    let kept = folder.path("importance.gguf")
    let result = try command.run([
      "quantize", model, first, "--type", "q4_0", "--calibrate", text, "--save-importance", kept, "--json",
    ])
    #expect(result.status == 0, "\(result.errors)")
    #expect(String(decoding: result.output, as: UTF8.self).contains("\"isCalibrated\" : true"))
    let again = try command.run([
      "quantize", model, second, "--type", "q4_0", "--importance", kept, "--no-report", "--threads", "1",
    ])
    #expect(again.status == 0, "\(again.errors)")
    let plain = folder.path("out-3.gguf")
    _ = try command.run(["quantize", model, plain, "--type", "q4_0", "--no-report"])
    func tail(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)).suffix(20_000) }
    let tails = try [first, second, plain].map(tail)
    #expect(tails[0] == tails[1] && tails[0] != tails[2])
  }

  @Test func `a quantized model is taken with a warning`() throws {
    let first = folder.path("out-1.gguf"), second = folder.path("out-2.gguf")
    _ = try command.run(["quantize", model, first, "--type", "q8_0", "--no-report"])
    let result = try command.run([
      "quantize", first, second, "--type", "q4_0", "--no-report", "--tensor", "attn_v=q8_0", "--embedding-type", "f16",
    ])
    #expect(result.status == 0 && result.complaints.count == 1, "\(result.errors)")
    #expect(result.errors.contains("warning: \(first) is quantized already (Q8_0)"))
    let shown = try command.run(["show", second])
    for format in ["Q4_0", "Q8_0", "F16"] {
      #expect(String(decoding: shown.output, as: UTF8.self).contains(format))
    }
  }

  @Test func `what cannot be done is said in one line, and leaves no file`() throws {
    let short = try text("short.txt", words: 20), out = folder.path("out.gguf")
    let cases: [([String], String, Int32)] = [
      ([model, out, "--type", "q4_0", "--calibrate", short], "short.txt: the text has", 1),
      ([model, out, "--type", "q4_0", "--evaluate", short], "short.txt: the text has", 1),
      ([model, out, "--type", "q4_0", "--importance", model], "general.type", 1),
      ([model, out, "--type", "q4_0", "--no-report", "--tensor", "nothing=q8_0"], "nothing", 1),
      ([model, folder.path("none/out.gguf"), "--type", "q4_0", "--no-report"], "No such file", 1),
      ([model, folder.url.path, "--type", "q4_0", "--no-report"], "is a folder", 1),
      ([folder.path("none.gguf"), out, "--type", "q4_0"], "none.gguf", 1),
      ([model, out, "--type", "q9"], "q9", 2),
      ([model, out, "--type", "q4_0", "--tensor", "attn=q9"], "attn=q9", 2),
      ([model, out, "--type", "q4_0", "--tensor", "(=q8_0"], "regular expression", 2),
      ([model, out, "--type", "q4_0", "--evaluate", short, "--no-report"], "exclude each other", 2),
    ]
    for (arguments, words, status) in cases {
      let result = try command.run(["quantize"] + arguments)
      #expect(result.status == status && result.output.isEmpty, "\(arguments): \(result.errors)")
      #expect(result.errors.contains(words), "\(result.errors)")
      #expect(try made == [])
    }
  }

  @Test func `the input is never written over`() throws {
    let before = try Data(contentsOf: URL(fileURLWithPath: model)), link = folder.path("link.gguf")
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: model)
    for out in [model, link] {
      let result = try command.run(["quantize", model, out, "--type", "q4_0", "--no-report"])
      #expect(result.status == 1 && result.errors.contains("will not be written over"), "\(result.errors)")
    }
    #expect(try Data(contentsOf: URL(fileURLWithPath: model)) == before)
  }

  @Test func `a full disk is an error and leaves no file`() throws {
    let result = try command.run(
      ["quantize", model, folder.path("out.gguf"), "--type", "q8_0", "--no-report"],
      shell: #"ulimit -f 20; exec "$@""#)
    #expect(result.status == 1 && result.errors.contains("out.gguf: cannot be written"), "\(result.errors)")
    #expect(try made == [])
  }

  @Test func `Ctrl-C leaves no file`() throws {
    // Large enough to be at work when the signal comes; the partial file tells that writing has begun.
    let large = folder.path("large.gguf")
    try LargeModel.write(to: large)
    let result = try command.run(
      ["quantize", large, folder.path("out.gguf"), "--type", "q2_k", "--no-report", "--threads", "1"],
      shell: """
        "$@" & child=$!
        for i in $(seq 500); do ls "\(folder.url.path)" | grep -q partial && break; sleep 0.01; done
        kill -INT $child; wait $child
        """)
    #expect(result.status == 130, "\(result.errors)")
    #expect(try made == [])
  }
}

/// A file whose tensors take a while.
private enum LargeModel {
  static func write(to path: String) throws {
    var writer = GGUFWriter(path: path)
    writer.metadata.set("general.architecture", .string("none"))
    let row = (0..<4096).map { Float(($0 * 7919) % 1000) / 1000 - 0.5 }
    let bytes = DataType.f16.quantized(row) ?? []
    for layer in 0..<4 {
      try writer.addTensor("blk.\(layer).ffn_up.weight", dataType: .f16, shape: [4096, 4096]) { append in
        for _ in 0..<4096 { try bytes.withUnsafeBytes(append) }
      }
    }
    try writer.write()
  }
}
