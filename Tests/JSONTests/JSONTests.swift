// JSON in and out: what is read is what was written, and what is wrong is said with its place.
import JSON
import Testing

@Suite struct JSONTests {
  @Test("Values come back from their text as they were", arguments: [nil, 2])
  func roundTrip(indent: Int?) throws {
    let value: JSONValue = [
      "z": [1, -2.5, 1e300, true, nil, "line\n\"quoted\" \\ \u{1} 말모이 😀"], "a": [:], "empty": [],
    ]
    #expect(try JSONValue(parsing: value.text(indent: indent).utf8) == value)
  }

  @Test("Escapes, surrogate pairs and the last of two equal keys are read")
  func escapes() throws {
    #expect(try JSONValue(parsing: #"{"a":1,"b":"\ud83d\ude00A\/","a":2}"#.utf8) == ["a": 2, "b": "😀A/"])
  }

  @Test("Malformed text is refused with its place", arguments: [
    ("", "a value at byte 0"), ("[1,]", "a value at byte 3"), ("{\"a\" 1}", "':' at byte 5"), ("[01]", "leading zero"),
    ("\"\\ud800\"", "low surrogate"), ("[1] 2", "end of the text at byte 4"), ("\"\n\"", "control character"),
    (String(repeating: "[", count: 5000), "nested deeper"),
  ])
  func malformed(text: String, message: String) {
    #expect { try JSONValue(parsing: text.utf8) } throws: { "\($0)".contains(message) }
  }

  @Test("A field of another type is named")
  func fields() throws {
    let document = JSONField(["model": ["layers": 2.0, "name": "x", "sizes": [1, "2"]]])
    let model = try document.required("model")
    #expect(try model.required("layers").int(in: 1...4) == 2)
    #expect(model["nothing"] == nil)
    #expect { try model.required("sizes").array()[1].int() } throws: {
      "\($0)" == "model.sizes.1: expected an integer, found a string"
    }
    #expect { try model.required("heads") } throws: { "\($0)" == "model.heads: missing" }
    #expect { try model.required("layers").int(in: 3...4) } throws: { "\($0)".contains("from 3 to 4, found 2") }
  }
}
