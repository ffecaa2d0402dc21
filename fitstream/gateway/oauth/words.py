"""What a scope lets a program do, in the words of the consent page."""

SCOPE_WORDS: dict[str, str] = {
    "profile": "See who you are: your account and profile",
    "customers:read": "See your profile and your devices",
    "customers:write": "Change profiles and consents",
    "data:read": "Read what your devices measured, and your forecasts",
    "data:write": "Bring in measurements",
    "devices:write": "Add, change and remove devices",
    "models:read": "See training runs and models",
    "models:write": "Start training runs and put models to use",
    "operations:read": "See how the system is doing",
    "operations:write": "Operate the system",
}
