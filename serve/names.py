"""Names of the Ray Serve applications; each holds one deployment."""

LLM_APP = "design-loop-llm"
SURROGATE_APP = "design-loop-surrogate"
API_APP = "design-loop-api"
DEPLOYMENT = "main"

TITLES = {
    LLM_APP: "the language model",
    SURROGATE_APP: "the surrogate",
    API_APP: "the HTTP server",
}
"""For messages."""
