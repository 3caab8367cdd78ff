"""What an audit found, for programs: `audit.json`, JUnit XML, SARIF and a section of a model card."""
