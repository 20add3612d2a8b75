//! Each scenario with each proxy in front of each server.

/// A test for each function named, proxy and server. A function is called with the two.
macro_rules! with_each_proxy {
    ($($test:ident)*) => {
        $crate::combinations::with_each_proxy! { nginx = Nginx; $($test)* }
        $crate::combinations::with_each_proxy! { plain_nginx = PlainNginx; $($test)* }
        $crate::combinations::with_each_proxy! { haproxy = HaProxy; $($test)* }
        $crate::combinations::with_each_proxy! { caddy = Caddy; $($test)* }
    };
    ($proxy:ident = $kind:ident; $($test:ident)*) => {
        mod $proxy {
            $(
                mod $test {
                    use $crate::proxy::Kind;
                    use $crate::upstream::Stack;

                    #[tokio::test]
                    #[ignore = "needs nginx, haproxy and caddy; .ci/run runs it"]
                    async fn of_serve() {
                        super::super::$test(Kind::$kind, Stack::Serve).await;
                    }

                    #[tokio::test]
                    #[ignore = "needs nginx, haproxy and caddy; .ci/run runs it"]
                    async fn of_axum() {
                        super::super::$test(Kind::$kind, Stack::Axum).await;
                    }
                }
            )*
        }
    };
}

pub(crate) use with_each_proxy;
