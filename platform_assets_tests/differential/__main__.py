from platform_assets_tests.differential.environment import install

install()
