import PipelineConfig
import Testing

struct SchemaTests {
  @Test func `each type says in a schema what it takes`() {
    #expect(SettingType.identifier.schema.text == "{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9_-]{1,64}$\"}")
    #expect(
      SettingDeclaration("x", .list(of: .path, atLeast: 1), summary: "S.").schema.text
        == "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"minLength\":1},\"minItems\":1,\"description\":\"S.\"}")
    #expect(
      SettingType.record([SettingDeclaration("x", .path, isRequired: true)]).schema.text
        == "{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"string\",\"minLength\":1}},\"required\":[\"x\"],"
        + "\"additionalProperties\":false}")
    #expect(
      SettingDeclaration("x", .boolean, default: "true").schema.text
        == "{\"anyOf\":[{\"type\":\"boolean\"},{\"type\":\"string\",\"pattern\":\"\\\\$\\\\{\"}],\"default\":true}")
  }

  @Test func `the schema of the whole file knows the stages of the modules`() {
    let text = PipelineSchema.text(stages: ExamplePipeline.stages)
    #expect(text.hasPrefix("{\"$schema\":\"http://json-schema.org/draft-07/schema#\""))
    #expect(text.contains("{\"const\":\"imc.source\",\"description\":\"Takes mail by SMTP.\"}"))
    #expect(text.contains("\"if\":{\"properties\":{\"use\":{\"const\":\"address.validator\"}}}"))
    #expect(text.contains("\"required\":[\"valid\",\"invalid\"]"))
    #expect(!text.contains("\n"))
  }
}
