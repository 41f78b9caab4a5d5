"""What the commands of ``platform-assets`` do, one module each. ``platform_assets.cli`` is their surface."""
