// A conversation as a file.
import Foundation
import Malmoi

extension ChatMessage {
  /// The message's text; a chat has no other content.
  var text: String { if case .text(let text) = content { text } else { "" } }
}

enum ChatTranscript {
  private struct Message: Encodable {
    let role: String
    let content: String
  }

  /// The conversation as the ending of `path` asks for: Markdown for `.md` and `.markdown`, otherwise JSON messages as
  /// in the OpenAI API.
  static func encoded(_ messages: [ChatMessage], for path: String) throws -> Data {
    if path.hasSuffix(".md") || path.hasSuffix(".markdown") {
      return Data(messages.map { "## \($0.role.capitalized)\n\n\($0.text)\n" }.joined(separator: "\n").utf8)
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .withoutEscapingSlashes]
    return try encoder.encode(messages.map { Message(role: $0.role, content: $0.text) }) + Data("\n".utf8)
  }
}
